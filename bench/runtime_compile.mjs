// runtime_compile.mjs OUT - compiles the functions of bench/functions and of tests/functions/project, as a
// deploy does, to OUT/bench/NAME.js and OUT/project/NAME.js; those of bench also for Node: OUT/node/NAME.mjs.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from '../compiler/node_modules/esbuild/lib/main.js';
import { compile } from '../compiler/lib/compile.mjs';
import { lower } from '../compiler/lib/lower.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const project = join(here, '..', 'tests', 'functions', 'project');
const out = process.argv[2];
for (const folder of ['bench', 'project', 'node']) mkdirSync(join(out, folder), { recursive: true });

const nodeNango = 'const typed = (type) => (it) => ({ type, ...it });\nexport const createAction = typed("action");\n';
const forNode = {
	name: 'node',
	setup(step) {
		step.onResolve({ filter: /^nango$/ }, () => ({ path: 'nango', namespace: 'stub' }));
		step.onLoad({ filter: /.*/, namespace: 'stub' }, () => ({ contents: nodeNango }));
	}
};

async function bundle(file, options) {
	const done = await build({ entryPoints: [file], bundle: true, write: false, logLevel: 'error', charset: 'ascii', target: 'esnext', ...options });
	return done.outputFiles[0].text;
}

for (const file of readdirSync(join(here, 'functions'))) {
	const name = file.replace(/\.ts$/, '');
	const path = join(here, 'functions', file);
	const source = readFileSync(path, 'utf8');
	const { code } = await compile({ source, name, integration: 'bench', type: 'action', typeCheck: false });
	writeFileSync(join(out, 'bench', `${name}.js`), code);
	const nodePaths = [join(here, '..', 'compiler', 'node_modules')];
	writeFileSync(join(out, 'node', `${name}.mjs`), await bundle(path, { format: 'esm', platform: 'node', plugins: [forNode], nodePaths }));
}
for (const integration of readdirSync(project)) {
	const folder = join(project, integration, 'actions');
	if (!existsSync(folder)) continue;
	for (const file of readdirSync(folder)) {
		const js = await bundle(join(folder, file), { format: 'cjs', external: ['nango', 'zod', 'crypto', 'url', 'buffer', 'node:*'] });
		const name = `${integration}-${file.replace(/\.ts$/, '')}`;
		writeFileSync(join(out, 'project', `${name}.js`), lower(js, { name, integration }));
	}
}
process.exit(0);
