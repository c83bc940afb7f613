# compiler: a Node package; its sources are installed, its packages come by `npm ci --omit=dev` there.
compilerdir = $(pkgdatadir)/compiler
dist_compiler_DATA = compiler/package.json compiler/package-lock.json
compilerbindir = $(compilerdir)/bin
dist_compilerbin_DATA = $(compiler_bin)
compilerlibdir = $(compilerdir)/lib
dist_compilerlib_DATA = $(compiler_lib)
compilersdkdir = $(pkgdatadir)/sdk
dist_compilersdk_DATA = sdk/index.d.ts sdk/mock.mjs sdk/runtime.d.ts
compiler_bin = compiler/bin/build-prelude.mjs compiler/bin/sluice-deploy.mjs compiler/bin/worker.mjs
compiler_lib = compiler/lib/align.mjs compiler/lib/arguments.mjs compiler/lib/bundle.mjs compiler/lib/cache.mjs compiler/lib/classes.mjs \
	compiler/lib/compile.mjs compiler/lib/evaluate.mjs \
	compiler/lib/evaluator.mjs compiler/lib/lower.mjs compiler/lib/maps.mjs compiler/lib/modules.mjs compiler/lib/prelude.mjs \
	compiler/lib/project.mjs compiler/lib/realm.js compiler/lib/refusal.mjs compiler/lib/regex.mjs \
	compiler/lib/report.mjs compiler/lib/source.mjs compiler/lib/types.mjs compiler/lib/version.mjs
