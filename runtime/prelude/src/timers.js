// Timers; the runner waits, this file remembers what to call.
import { G, define, host, replace } from "./core.js";

const pending = Object.create(null);
let count = 0;
let last = 0;
// While a module loads nobody waits: its timers are handed to the host when the run starts.
let started = false;

export const timersPending = () => count > 0;

function arm(id, ms) {
	if (started) host.timer(id, ms);
}

export function startTimers() {
	started = true;
	for (const id in pending) host.timer(Number(id), pending[id].ms);
}

export function fire(id) {
	const timer = pending[id];
	if (timer === undefined) return;
	if (timer.repeat) {
		arm(id, timer.ms);
	} else {
		delete pending[id];
		count--;
	}
	timer.callback.apply(undefined, timer.args);
}

// As Node: what is no delay becomes one millisecond.
function delay(value) {
	const ms = Number(value);
	return ms >= 1 && ms <= 2147483647 ? Math.trunc(ms) : 1;
}

function Timeout(id) {
	define(this, "id", id);
}
replace(Timeout.prototype, {
	ref() {
		return this;
	},
	unref() {
		return this;
	},
	hasRef() {
		return this.id in pending;
	},
});
define(Timeout.prototype, Symbol.toPrimitive, function () {
	return this.id;
});

function start(callback, value, args, repeat) {
	if (typeof callback !== "function") {
		throw new TypeError(`The "callback" argument must be of type function. Received ${String(callback)}`);
	}
	const id = ++last;
	const ms = delay(value);
	pending[id] = { callback, ms, args, repeat };
	count++;
	arm(id, ms);
	return new Timeout(id);
}

function stop(timer) {
	const id = timer instanceof Timeout ? timer.id : timer;
	if (pending[id] === undefined) return;
	delete pending[id];
	count--;
	if (started) host.timerClear(Number(id));
}

const rest = (list) => Array.prototype.slice.call(list, 2);

replace(G, {
	setTimeout(callback, ms) {
		return start(callback, ms, rest(arguments), false);
	},
	setInterval(callback, ms) {
		return start(callback, ms, rest(arguments), true);
	},
	clearTimeout(timer) {
		stop(timer);
	},
	clearInterval(timer) {
		stop(timer);
	},
});

const silent = {};
const names = ["assert", "count", "debug", "dir", "error", "group", "groupCollapsed", "groupEnd", "info", "log"];
["table", "time", "timeEnd", "timeLog", "trace", "warn"].concat(names).forEach((name) => {
	silent[name] = function () {};
});
define(G, "console", silent);
