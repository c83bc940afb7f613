// A thread that loads a customer's module in a context of its own and answers its definition and schemas as JSON.
// The context holds no object of this realm, makes no code from strings, and is used once.  Nor does this realm make
// any (evaluate.mjs sets the flag before the thread starts).
import { parentPort, workerData } from "node:worker_threads";
import vm from "node:vm";

const LIMIT_MS = workerData.limit;
const MAX_ANSWER = 8 * 1000 * 1000;
const HEAD = "__describe(function (exports, require, module, __mark) {";

const realm = new vm.Script(workerData.realm, { filename: "realm.js" });

function fresh() {
	const context = vm.createContext(Object.create(null), {
		codeGeneration: { strings: false, wasm: false },
		microtaskMode: "afterEvaluate",
	});
	realm.runInContext(context);
	return context;
}

let next = fresh();

function evaluate({ code, suffix }) {
	const context = next ?? fresh();
	next = null;
	try {
		const script = new vm.Script(`${HEAD}${code}\n}, ${JSON.stringify(suffix)})`, { filename: "function.cjs", columnOffset: -HEAD.length });
		const answer = script.runInContext(context, { timeout: LIMIT_MS });
		if (typeof answer !== "string") return { failed: "broken" };
		return answer.length > MAX_ANSWER ? { failed: "large" } : { answer };
	} catch (error) {
		return { failed: error?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT" ? "timeout" : "broken" };
	}
}

// A promise of the module that nobody waits for is of no concern.
process.on("unhandledRejection", () => {});

parentPort.on("message", (request) => {
	parentPort.postMessage({ ...evaluate(request), id: request.id });
	// The next request finds its context made.
	setImmediate(() => {
		next ??= fresh();
	});
});
