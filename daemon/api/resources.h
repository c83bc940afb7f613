/* daemon/api/resources.h - the handlers of the resource files, for the table in routes.c. */
#ifndef SLUICE_DAEMON_API_RESOURCES_H
#define SLUICE_DAEMON_API_RESOURCES_H

#include "daemon/api/api.h"

/* integration.c */
api_handler integration_list, integration_create, integration_read, integration_patch,
    integration_delete, integration_config;
/* connection.c, connection_create.c */
api_handler connection_list, connection_read, connection_create, connection_patch,
    connection_delete, connection_legacy_create;
/* metadata.c: POST replaces, PATCH merges; the _one forms take the connection from path and header
 */
api_handler metadata_replace, metadata_update, metadata_replace_one, metadata_update_one;
/* provider.c */
api_handler provider_list, provider_read, provider_templates, provider_map;
/* environment.c */
api_handler environment_variables, environment_create_key, environment_delete_key,
    environment_create, environment_delete, environment_list;
/* environment_webhook.c */
api_handler environment_rotate_signing_key, admin_signing_key_read, admin_signing_key_rotate;
/* admin.c */
api_handler admin_environment_list, admin_environment_read, admin_environment_patch,
    admin_variable_put, admin_variable_delete;
/* admin_dead.c, admin_quarantine.c */
api_handler admin_dead_list, admin_dead_read, admin_dead_replay, admin_dead_delete,
    admin_quarantine_list, admin_quarantine_delete;
/* admin_queue.c, admin_steer.c */
api_handler admin_queue_list, admin_queue_pause, admin_queue_drain, admin_queue_resume;
/* admin_gate.c */
api_handler admin_gate_list, admin_gate_clear;
/* admin_job.c, admin_job_create.c */
api_handler admin_job_list, admin_job_read, admin_job_retry, admin_job_cancel, admin_job_kill,
    admin_job_create;
/* admin_bench.c */
api_handler admin_bench;
/* admin_function.c */
api_handler admin_function_read, admin_function_patch;
/* admin_sync.c, admin_sync_steer.c */
api_handler admin_sync_list, admin_sync_read, admin_sync_begin, admin_sync_pause,
    admin_sync_trigger;
/* admin_rekey.c */
api_handler admin_rekey_read, admin_rekey_start;
/* admin_worker.c, admin_doctor.c */
api_handler admin_worker_list, admin_worker_quiet, admin_worker_release, admin_doctor;
/* deploy.c */
api_handler deploy_confirm, deploy_run, cli_telemetry;
/* sync.c, sync_status.c, sync_steer.c, sync_variant.c */
api_handler sync_trigger, sync_status, sync_steer_start, sync_steer_pause, sync_frequency,
    sync_variant_post, sync_variant_drop;
/* record.c */
api_handler record_read;
/* record_prune.c */
api_handler record_prune_run;
/* webhook_in.c */
api_handler webhook_in;
/* webhook_delivery.c, webhook_endpoint.c, webhook_test.c; each for apps and for operators */
api_handler webhook_delivery_list, webhook_delivery_read, webhook_delivery_resend,
    webhook_delivery_resend_failed, webhook_endpoint_list, webhook_endpoint_read,
    webhook_endpoint_pause, webhook_endpoint_resume, webhook_test;
/* endpoint.c */
api_handler endpoint_call;
/* health.c */
api_handler health_read, ready_read, metrics_read;
/* proxy.c */
api_handler proxy_call;

#endif
