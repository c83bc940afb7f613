// The side under test: a standalone sluiced, reached the way customers reach it.
import { startRig } from '../../clients/rig.mjs';

const SCHEME = {
	'private-api-bearer': (key) => ({ type: 'API_KEY', apiKey: key }),
	'private-api-basic': (key) => ({ type: 'BASIC', username: key, password: 'geheim:ü' }),
	github: (key) => ({ type: 'OAUTH2', access_token: key }),
	hubspot: (key) => ({ type: 'OAUTH2', access_token: key }),
};
const LOG = /level=(\w+).*? event=function_log|function_log/;

export async function startDaemon() {
	const rig = await startRig();
	const secret = rig.keys.NANGO_SECRET_KEY_DEV;

	async function ask(method, path, body, headers = {}) {
		const answer = await fetch(rig.host + path, {
			method,
			headers: { authorization: `Bearer ${secret}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
		return { status: answer.status, text: await answer.text() };
	}

	async function must(wanted, method, path, body) {
		const answer = await ask(method, path, body);
		if (answer.status !== wanted) throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 2000)}`);
		return answer;
	}

	return {
		host: rig.host,
		secret,
		log: rig.log,
		stop: rig.stop,
		integration: (name, provider, base) =>
			must(200, 'POST', '/integrations', {
				provider,
				unique_key: name,
				...(provider.startsWith('private') ? { integration_config: { baseUrl: base } } : { credentials: { type: 'OAUTH2', client_id: 'id', client_secret: 'sec' } }),
			}),
		connection: (integration, provider, key, metadata) =>
			must(201, 'POST', '/connections', {
				provider_config_key: integration,
				connection_id: key,
				credentials: SCHEME[provider](key),
				...(metadata && { metadata }),
			}),
		deploy: (body) => must(200, 'POST', '/sync/deploy', body),
		trigger: (name, integration, connection, input) =>
			ask('POST', '/action/trigger', { action_name: name, ...(input !== undefined && { input }) }, {
				'provider-config-key': integration,
				'connection-id': connection,
			}),
		logsOf: (connection) =>
			rig
				.log()
				.split('\n')
				.filter((line) => LOG.test(line) && line.includes(`connection="${connection}"`)),
	};
}
