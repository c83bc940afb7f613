/* The host of the tests: what runtime/binding.h says, in ES5, and the loop of the runner. */
var DRIVE = (function () {
	var native = { parse: JSON.parse, text: JSON.stringify, print: print, upper: "".toUpperCase, lower: "".toLowerCase, number: Number, parseFloat: parseFloat, parseInt: parseInt, digits: Number.prototype.toString, toFixed: Number.prototype.toFixed, cbrt: Math.cbrt };
	var encoder = new TextEncoder();
	var decoder = new TextDecoder();
	var BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	var report = { calls: [], done: null, loadError: null };
	var timers = [];
	var clock = 0;
	var answers = [];
	var attempts = {};
	var seed = 1;

	function u8(list) {
		var out = new Uint8Array(list.length);
		for (var i = 0; i < list.length; i++) out[i] = list[i];
		return out;
	}

	function hex(bytes) {
		var out = "";
		for (var i = 0; i < bytes.length; i++) out += (bytes[i] < 16 ? "0" : "") + bytes[i].toString(16);
		return out;
	}

	function unhex(text) {
		var out = [];
		for (var i = 0; i + 1 < text.length; i += 2) out.push(parseInt(text.substr(i, 2), 16));
		return u8(out);
	}

	function base64(bytes, urlSafe) {
		var out = "";
		for (var i = 0; i < bytes.length; i += 3) {
			var n = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
			var left = bytes.length - i;
			out += BASE64.charAt((n >> 18) & 63) + BASE64.charAt((n >> 12) & 63);
			out += left > 1 ? BASE64.charAt((n >> 6) & 63) : "=";
			out += left > 2 ? BASE64.charAt(n & 63) : "=";
		}
		return urlSafe ? out.replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "") : out;
	}

	function unbase64(text) {
		var out = [];
		var bits = 0;
		var count = 0;
		for (var i = 0; i < text.length; i++) {
			var c = text.charAt(i);
			var value = BASE64.indexOf(c === "-" ? "+" : c === "_" ? "/" : c);
			if (c === "=") break;
			if (value < 0) continue;
			bits = ((bits << 6) | value) & 0xffff;
			count += 6;
			if (count >= 8) {
				count -= 8;
				out.push((bits >> count) & 255);
			}
		}
		return u8(out);
	}

	function utf8Encode(text) {
		return encoder.encode(text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, function (c) {
			return c.length === 2 ? c : "\ufffd";
		}));
	}

	function asked(question, otherwise) {
		if (typeof question[1] !== "string") return otherwise;
		var answer = SETUP.unicode[native.text(question)];
		return answer === undefined ? otherwise : answer;
	}

	function digest(key) {
		if (SETUP.hashes[key] === undefined) throw new Error("no hash for " + key);
		return unhex(SETUP.hashes[key]);
	}

	function respond(id, op, meta, body) {
		var text = body === undefined ? undefined : typeof body === "string" ? body : decoder.decode(body);
		report.calls.push({ id: id, op: op, meta: meta, body: text });
		if (id === 0) return;
		attempts[op] = (attempts[op] || 0) + 1;
		var handler = op === "http" ? HTTP : OPS[op];
		var answer;
		if (!handler) answer = { error: { code: "unsupported", message: "unsupported: " + op } };
		else answer = handler(meta, text, attempts[op]);
		if (answer && answer.silent) return;
		answers.push(function () {
			if (answer && answer.error) __driver.reply(id, false, native.text(answer.error), undefined);
			else if (op === "http" || op === "fetch") {
				var head = { status: answer.status || 200, statusText: answer.statusText || "", headers: answer.headers || {} };
				/* A plain buffer, as C makes them. */
				var bytes = answer.bytes ? u8(answer.bytes) : utf8Encode(answer.body || "");
				var plain = plainOf(bytes.length);
				for (var i = 0; i < bytes.length; i++) plain[i] = bytes[i];
				__driver.reply(id, true, native.text(head), plain);
			} else __driver.reply(id, true, native.text(answer === undefined ? null : answer), undefined);
		});
	}

	var plainOf = Uint8Array.allocPlain;
	var __driver;

	__host = {
		call: function (id, op, metaText, body) {
			if (report.done) throw new Error("call after done");
			respond(id, op, native.parse(metaText), body);
		},
		done: function (ok, payload) {
			if (report.done) throw new Error("done twice");
			report.done = [ok, payload];
		},
		timer: function (id, ms) {
			timers.push({ id: id, due: clock + ms });
		},
		timerClear: function (id) {
			timers = timers.filter(function (t) {
				return t.id !== id;
			});
		},
		random: function (n) {
			var out = plainOf(n);
			for (var i = 0; i < n; i++) {
				seed = (seed * 1103515245 + 12345) % 2147483648;
				out[i] = (seed >> 16) & 255;
			}
			return out;
		},
		hash: function (name, bytes) {
			return digest(name + ":" + hex(bytes));
		},
		hmac: function (name, key, bytes) {
			return digest(name + ":" + hex(key) + ":" + hex(bytes));
		},
		equal: function (a, b) {
			return hex(a) === hex(b);
		},
		utf8Encode: utf8Encode,
		utf8Decode: function (bytes) {
			return decoder.decode(bytes);
		},
		base64: base64,
		base64Decode: unbase64,
		hex: hex,
		hexDecode: unhex,
		collate: function (a, b, level, numeric) {
			var plain = a < b ? -1 : a > b ? 1 : 0;
			return asked(["collate", a, b, level, numeric], plain);
		},
		normalize: function (text, form) {
			return asked(["normalize", text, form], text);
		},
		changeCase: function (text, upper, language) {
			return asked(["changeCase", text, upper, language], upper ? native.upper.call(text) : native.lower.call(text));
		},
		escapeLone: function (text) {
			return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, function (c) {
				return c.length === 2 ? c : "\\u" + c.charCodeAt(0).toString(16);
			});
		},
		/* The engine's own but for what the test has asked Node. */
		Number: function Number(value) {
			var made = arguments.length === 0 ? 0 : asked(["Number", value], native.number(value));
			return this instanceof Number ? new native.number(made) : made;
		},
		parseFloat: function (text) {
			return asked(["Number", text], native.parseFloat(text));
		},
		parseInt: function (text, radix) {
			return asked(["Number", text], native.parseInt(text, radix));
		},
		toString: native.digits,
		toFixed: native.toFixed,
		round: Math.round,
		cbrt: function (x) {
			var root = native.cbrt(x);
			var whole = Math.round(root);
			return whole * whole * whole === x ? whole : root;
		},
		inflate: function (bytes, size) {
			throw new Error("no data for inflate");
		},
		/* The clocks of 2024. */
		zoneOffset: function (zone, ms) {
			var month = new Date(ms).getUTCMonth();
			if (zone === "UTC") return 0;
			if (zone === "Asia/Tokyo") return 9 * 3600000;
			if (zone === "America/New_York") return (month > 2 && month < 10 ? -4 : -5) * 3600000;
			return NaN;
		},
	};

	function step() {
		if (answers.length > 0) {
			answers.shift()();
			return true;
		}
		if (timers.length === 0) return false;
		timers.sort(function (a, b) {
			return a.due - b.due;
		});
		var timer = timers.shift();
		clock = timer.due;
		__driver.timer(timer.id);
		return true;
	}

	function print_ascii(value) {
		native.print(
			native.text(value).replace(/[\u007f-\uffff]/g, function (c) {
				return "\\u" + ("000" + c.charCodeAt(0).toString(16)).slice(-4);
			})
		);
	}

	return function (global) {
		__driver = global.__sluice;
		delete global.__sluice;
		try {
			__driver.load(SETUP.code, "fn-pck.cjs", "fn", SETUP.hint);
		} catch (error) {
			report.loadError = { message: error.message, sluice: error.sluice };
			print_ascii(report);
			return;
		}
		var input = SETUP.inputText === undefined ? SETUP.input : SETUP.inputText;
		__driver.run(SETUP.kind, input, native.text(SETUP.context));
		__driver.drain();
		for (var i = 0; !report.done && i < 100000; i++) {
			if (__driver.idle()) {
				__driver.deadlock();
				break;
			}
			if (!step()) break;
			__driver.drain();
		}
		report.clock = clock;
		print_ascii(report);
	};
})();
