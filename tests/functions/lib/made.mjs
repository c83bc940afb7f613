// Functions made from a seed (generated/): what each of their bodies returns in Node and in the runner.
const show = (text) => (text === undefined ? 'nothing' : text.length > 1500 ? `${text.slice(0, 1500)}...` : text);

async function outputs(rig, flow, scheme, input) {
	const key = 'made';
	const a = rig.reference.run({ code: flow.fileBody.js, name: flow.syncName, type: flow.type, integration: flow.providerConfigKey, provider: scheme, connectionId: key, input });
	const b = rig.daemon.trigger(flow.syncName, flow.providerConfigKey, key, input);
	const wanted = await a;
	const got = await b;
	return [wanted.error ? JSON.stringify(wanted.error) : JSON.parse(wanted.text), got.status === 200 ? JSON.parse(got.text) : got.text];
}

// The bodies of a made function that do not return the same: [{ at, wanted, got }].
export async function differences(rig, flow, scheme, bodies) {
	const [wanted, got] = await outputs(rig, flow, scheme, {});
	const out = [];
	for (let at = 0; at < bodies.length; at++) {
		let pair = [wanted[at], got[at]];
		// All of them together could not be run: one by one.
		if (!Array.isArray(wanted) || !Array.isArray(got)) pair = (await outputs(rig, flow, scheme, { only: at })).map((each) => (Array.isArray(each) ? each[0] : each));
		if (pair[0] !== pair[1]) out.push({ at, wanted: show(pair[0]), got: show(pair[1]) });
	}
	return out;
}
