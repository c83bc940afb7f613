// The compiler's worker as a test drives it: one request out, one answer in.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../compiler/bin/worker.mjs", import.meta.url));

export function start() {
	const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const worker = {
		child,
		next: async () => JSON.parse((await lines.next()).value),
		async ask(request) {
			const line = typeof request === "string" || Buffer.isBuffer(request) ? request : JSON.stringify(request);
			child.stdin.write(line);
			child.stdin.write("\n");
			return worker.next();
		},
		async end() {
			child.stdin.end();
			return new Promise((resolve) => child.on("exit", resolve));
		},
	};
	return worker;
}

// An action whose exec has `body` as its statements.
export const actionSource = (body, before = "") =>
	`import { createAction } from "nango";\nimport * as z from "zod";\n${before}\nexport default createAction({ description: "d", input: z.object({ n: z.number() }), output: z.any(), exec: async (nango, input) => {\n${body}\n} });\n`;
