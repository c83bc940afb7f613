"""Syncs and on-event functions as a deploy carries them; actions are Rig.flow()."""


def sync(name, code, integration="w", models=("Item",), webhook=None, subscriptions=None, **more):
    """code is the body of exec(nango), webhook that of onWebhook(nango, payload)."""
    schemas = ", ".join(f"{model}: z.object({{ id: z.string() }})" for model in models)
    hook = f"onWebhook: async (nango, payload) => {{\n{webhook}\n}}," if webhook is not None else ""
    script = ('"use strict";\nvar z = require("zod");\nmodule.exports = { default: { type: "sync", description: "test",'
              f' frequency: "every hour", autoStart: false, models: {{ {schemas} }}, {hook}'
              f" exec: async (nango) => {{\n{code}\n}} }} }};\n")
    item = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    flow = {"syncName": name, "providerConfigKey": integration, "models": list(models), "version": "1.0.0",
            "runs": "every hour", "track_deletes": False, "auto_start": False, "attributes": {},
            "metadata": {"description": "test", "scopes": []}, "sync_type": "full", "type": "sync",
            "fileBody": {"js": script, "ts": "export default {};"}, "endpoints": [],
            "models_json_schema": {"definitions": {model: item for model in models}}, "features": [], **more}
    if subscriptions is not None:
        flow["webhookSubscriptions"] = subscriptions
    return flow


def on_event(name, event, code):
    """One of `scripts`; code is the body of exec(nango)."""
    script = (f'"use strict";\nmodule.exports = {{ default: {{ type: "onEvent", event: "{event}", description: "test",'
              f" exec: async (nango) => {{\n{code}\n}} }} }};\n")
    return {"name": name, "event": event, "fileBody": {"js": script, "ts": "export default {};"}}


def events(*scripts, integration="w"):
    """onEventScriptsByProvider of one integration."""
    return [{"providerConfigKey": integration, "scripts": list(scripts)}]
