// What happens on the events of a connection: it is made, and deleted again.
const answers = (check) => ({ 'GET /check': [check], 'GET /me': [{ json: { region: 'eu-ü' } }], 'POST /hooks': [{ json: { id: 'h1' } }], 'DELETE /hooks/h1': [{ status: 204 }] });

export default {
	'after-connection': {
		claim: 'functions on the events of a connection',
		runs: [
			{ label: 'accepted', metadata: { plan: 'pro' }, answers: answers({ json: { ok: true } }) },
			{ label: 'refused', metadata: { plan: 'free' }, answers: answers({ json: { ok: false } }) },
			{ label: 'the check fails', answers: answers({ status: 500, json: {} }) },
		],
	},
	validate: { claim: 'runs with after-connection', runs: [] },
	'before-deletion': { claim: 'runs with after-connection', runs: [] },
};
