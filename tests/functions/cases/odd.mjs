// What differs, and why; a case that agrees after all must lose its mark.
const ok = { json: { ok: true } };

export default {
	'odd-double-slash': { claim: 'two slashes in front of an endpoint', runs: [{ answers: { 'GET //double/x': [ok], 'GET /double/x': [ok] } }] },
	'odd-hang-up': {
		// A GET may be sent again (RFC 9110 section 9.2.2): curl does so, Node does not.
		claim: 'a write without an answer is sent once',
		runs: ['POST'].map((method) => ({ label: method, input: { method }, answers: { 'GET /warm': [ok], [`${method} /gone`]: [{ hangUp: true }] } })),
	},
	'odd-extends-array': { claim: 'subclasses of Array', runs: [{}] },
	'odd-function-length': { claim: 'length of functions', differs: 'parameters with defaults count after lowering', runs: [{}] },
	'odd-collation': { claim: 'collation and NFKC', runs: [{}] },
	'odd-half-character': { claim: 'half of a character in a body', runs: [{ answers: { 'POST /half': [ok] } }] },
	'odd-super-accessor': { claim: 'super.name of a getter', runs: [{}] },
	'odd-class-name': { claim: 'a class that extends Error names itself', runs: [{}] },
	'odd-has-instance': { claim: 'Symbol.hasInstance', runs: [{}] },
	'odd-deep-await': { claim: '2000 calls deep through await', runs: [{ input: { depth: 2000 } }] },
	'code-from-strings': { claim: 'no code is made from strings', runs: [{}] },
	'headers-class': { claim: 'Headers', runs: [{}] },
	'huge-response': { claim: 'a provider answers 10 MB', runs: [{ answers: { 'GET /huge': [{ json: Array.from({ length: 40000 }, (_, i) => ({ id: `rec_${i}`, n: i, email: `person${i}@example.com`, note: 'ž'.repeat(60), at: '2024-01-05T10:20:30Z', tags: ['a', 'b'] })) }] } }] },
	'legacy-url': { claim: 'parse, format and resolve of url', runs: [{}] },
	'odd-number-ties': { claim: 'numbers whose shortest text is a tie', differs: 'the engine rounds up where V8 takes the even digit', runs: [{}] },
	'odd-params-object': { claim: 'params that are URLSearchParams', differs: 'on purpose: the original drops them without a word', runs: [{ answers: { 'GET /q': [ok] } }] },
	'odd-repeated-headers': { claim: 'response headers that come twice', runs: [{ answers: { 'GET /h': [{ json: {}, headers: { 'set-cookie': ['a=1', 'b=2'], 'x-twice': ['a', 'b'] } }] } }] },
	'multipart-object': { claim: 'multipart/form-data from an object', runs: [{ answers: { 'POST /upload': [ok] } }] },
};
