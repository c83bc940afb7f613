/* daemon/api/routes.c - every path we answer, its scope and its limits, in one table. */
#include <stddef.h>

#include "daemon/api/action.h"
#include "daemon/api/api.h"
#include "daemon/api/resources.h"

#define MIB (1 << 20)
#define CONNECTION "environment:connections:"
#define INTEGRATION "environment:integrations:"

const struct api_route api_routes[] = {
    {"GET", "/health", NULL, API_OPEN, 0, health_read},
    {"GET", "/ready", NULL, API_OPEN, 0, ready_read},
    {"GET", "/metrics", NULL, API_ACCOUNT | API_OPERATOR | API_LOCAL, 0, metrics_read},
    {"GET", "/providers.json", NULL, API_OPEN, 0, provider_map},
    {"POST", "/cli/telemetry", NULL, API_OPEN, 64 << 10, cli_telemetry},

    {"POST", "/action/trigger", "environment:actions:execute", API_JSON | API_NO_QUERY,
     API_BODY_MAX, action_trigger},
    {"GET", "/action/:id", "environment:actions:execute", 0, 0, action_read},
    {"DELETE", "/action/:id", "environment:actions:execute", API_NO_QUERY | API_JSON_OPTIONAL, MIB,
     action_cancel},

    {"*", "/v1/*", NULL, API_JSON_ANY, API_BODY_MAX, endpoint_call},

    {"POST", "/sync/trigger", "environment:syncs:execute", API_JSON | API_NO_QUERY, MIB,
     sync_trigger},
    {"GET", "/sync/status", "environment:syncs:read", 0, 0, sync_status},
    {"GET", "/records", "environment:records:read", 0, 0, record_read},
    {"POST", "/webhook/:environment/:key", NULL, API_OPEN | API_RAW | API_WEBHOOK, 8 * MIB,
     webhook_in},

    {"GET", "/integrations", INTEGRATION "list", API_NO_QUERY, 0, integration_list},
    {"POST", "/integrations", INTEGRATION "create", API_JSON | API_NO_QUERY, MIB,
     integration_create},
    {"GET", "/integrations/:key", INTEGRATION "read", 0, 0, integration_read},
    {"PATCH", "/integrations/:key", INTEGRATION "update", API_JSON | API_NO_QUERY, MIB,
     integration_patch},
    {"DELETE", "/integrations/:key", INTEGRATION "delete", API_NO_QUERY | API_JSON_OPTIONAL, MIB,
     integration_delete},
    {"GET", "/config/:key", INTEGRATION "read", API_NO_QUERY, 0, integration_config},

    {"GET", "/providers", NULL, 0, 0, provider_list},
    {"GET", "/providers/:provider", NULL, API_NO_QUERY, 0, provider_read},
    {"GET", "/providers/:provider/templates", NULL, API_NO_QUERY, 0, provider_templates},

    {"POST", "/connections/metadata", CONNECTION "update", API_JSON | API_NO_QUERY, API_BODY_MAX,
     metadata_replace},
    {"PATCH", "/connections/metadata", CONNECTION "update", API_JSON | API_NO_QUERY, API_BODY_MAX,
     metadata_update},
    {"POST", "/connection/metadata", CONNECTION "update", API_JSON | API_NO_QUERY, API_BODY_MAX,
     metadata_replace},
    {"PATCH", "/connection/metadata", CONNECTION "update", API_JSON | API_NO_QUERY, API_BODY_MAX,
     metadata_update},
    {"POST", "/connection/:id/metadata", CONNECTION "update", API_JSON | API_NO_QUERY, API_BODY_MAX,
     metadata_replace_one},
    {"PATCH", "/connection/:id/metadata", CONNECTION "update", API_JSON | API_NO_QUERY,
     API_BODY_MAX, metadata_update_one},
    {"GET", "/connections", CONNECTION "list", 0, 0, connection_list},
    {"GET", "/connection", CONNECTION "list", 0, 0, connection_list},
    {"POST", "/connections", CONNECTION "create", API_JSON | API_NO_QUERY, MIB, connection_create},
    {"POST", "/connection", CONNECTION "create", API_JSON | API_NO_QUERY, MIB,
     connection_legacy_create},
    {"GET", "/connections/:id", CONNECTION "read", 0, 0, connection_read},
    {"GET", "/connection/:id", CONNECTION "read", 0, 0, connection_read},
    {"PATCH", "/connections/:id", CONNECTION "update", API_JSON, MIB, connection_patch},
    {"PATCH", "/connection/:id", CONNECTION "update", API_JSON, MIB, connection_patch},
    {"DELETE", "/connections/:id", CONNECTION "delete", API_JSON_OPTIONAL, MIB, connection_delete},
    {"DELETE", "/connection/:id", CONNECTION "delete", API_JSON_OPTIONAL, MIB, connection_delete},

    {"GET", "/environment-variables", "environment:variables:read", API_NO_QUERY, 0,
     environment_variables},
    {"POST", "/environment/webhook-signing-key/rotate", "environment:webhook_signing_key:rotate",
     API_JSON_OPTIONAL, MIB, environment_rotate_signing_key},
    {"POST", "/environment/api-keys", "account:environments:api_keys:create",
     API_ACCOUNT | API_JSON | API_NO_QUERY, MIB, environment_create_key},
    {"DELETE", "/environment/api-keys", "account:environments:api_keys:delete",
     API_ACCOUNT | API_JSON | API_NO_QUERY, MIB, environment_delete_key},
    {"POST", "/environments", "account:environments:create", API_ACCOUNT | API_JSON | API_NO_QUERY,
     MIB, environment_create},
    {"DELETE", "/environments/:id", "account:environments:delete", API_ACCOUNT | API_JSON_OPTIONAL,
     MIB, environment_delete},
    {"GET", "/api/v1/environments", NULL, API_ACCOUNT | API_NO_QUERY, 0, environment_list},

    {"POST", "/sync/deploy/confirmation", "environment:deploy", API_JSON | API_NO_QUERY,
     API_BODY_MAX, deploy_confirm},
    {"POST", "/sync/deploy", "environment:deploy", API_JSON | API_NO_QUERY, API_BODY_MAX,
     deploy_run},

    {"GET", "/admin/v1/environments/:name", NULL, API_ACCOUNT | API_OPERATOR, 0,
     admin_environment_read},
    {"PATCH", "/admin/v1/environments/:name", NULL, API_ACCOUNT | API_OPERATOR | API_JSON, MIB,
     admin_environment_patch},
    {"GET", "/admin/v1/environments/:name/functions/:integration/:function", NULL,
     API_ACCOUNT | API_OPERATOR, 0, admin_function_read},
    {"PATCH", "/admin/v1/environments/:name/functions/:integration/:function", NULL,
     API_ACCOUNT | API_OPERATOR | API_JSON, MIB, admin_function_patch},
    {"PUT", "/admin/v1/environments/:name/variables/:variable", NULL,
     API_ACCOUNT | API_OPERATOR | API_JSON, MIB, admin_variable_put},
    {"DELETE", "/admin/v1/environments/:name/variables/:variable", NULL,
     API_ACCOUNT | API_OPERATOR | API_JSON_OPTIONAL, MIB, admin_variable_delete},
    {"GET", "/admin/v1/dead", NULL, API_ACCOUNT | API_OPERATOR, 0, admin_dead_list},
    {"DELETE", "/admin/v1/dead", NULL, API_ACCOUNT | API_OPERATOR | API_JSON_OPTIONAL, MIB,
     admin_dead_delete},
    {"POST", "/admin/v1/dead/replay", NULL, API_ACCOUNT | API_OPERATOR | API_JSON | API_NO_QUERY,
     MIB, admin_dead_replay},
    {"GET", "/admin/v1/dead/:id", NULL, API_ACCOUNT | API_OPERATOR | API_NO_QUERY, 0,
     admin_dead_read},
    {"GET", "/admin/v1/quarantine", NULL, API_ACCOUNT | API_OPERATOR, 0, admin_quarantine_list},
    {"DELETE", "/admin/v1/quarantine", NULL, API_ACCOUNT | API_OPERATOR | API_JSON_OPTIONAL, MIB,
     admin_quarantine_delete},
    {NULL, NULL, NULL, 0, 0, NULL},
};
