export default {
	noop: {
		claim: 'input and output pass',
		runs: [{ label: 'none' }, { label: 'null', input: null }, { label: 'object', input: { a: [1, 2.5, null, 'ü😀'], b: { c: true } } }, { label: 'falsy', input: 0 }],
	},
};
