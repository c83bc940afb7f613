export default {
	'imported-action-error': { differs: 'the original has no module nango at run time; here its ActionError is that of the nango object', claim: 'ActionError from the module nango', runs: [{}] },
	metadata: { claim: 'metadata is read, merged and replaced', runs: [{ metadata: { region: 'us', fields: { a: 'b' } } }, { label: 'none' }] },
	connection: { claim: 'connection and token', runs: [{ metadata: { x: 1 } }] },
	'unknown-connection': { claim: 'an unknown connection is an error', runs: [{}] },
	integration: { claim: 'integration, webhook URL, environment variables', runs: [{}] },
	'nango-object': { claim: 'the members of nango', runs: [{ answers: { 'GET /bound': [{ json: 1 }] } }] },
	logging: { claim: 'levels and shapes of logs', runs: [{}] },
	'validate-input': {
		claim: 'zodValidateInput',
		runs: [
			{ label: 'accepted', input: { email: 'a@b.co', age: 20 } },
			{ label: 'refused', input: { email: 'nope', age: 3.5, role: 'boss', extra: 1 } },
		],
	},
	'trigger-action': { claim: 'an action calls another', calls: ['noop'], runs: [{}] },
	'checkpoint-roundtrip': { claim: 'checkpoints of an action', runs: [{}] },
	locks: { claim: 'locks', runs: [{}] },
};
