// Types of the module `nango` that function projects import.  Reference it from the project's tsconfig.json:
//   "include": ["index.ts", "**/*.ts", "path/to/sdk/index.d.ts"]
// They take and refuse what those of the published package (0.71) do; tests/clients/sdk.test.mjs compares them.
declare module 'nango' {
	import type * as z from 'zod';

	// Only what says so is exported.
	export {};

	type MaybePromise<T> = T | Promise<T>;
	type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE' | 'PROPFIND' | 'REPORT';

	interface CommonPagination {
		limit?: number | string;
		limit_name_in_request: string;
		/** Dot path of the list in the response; the default is the response itself. */
		response_path?: string;
		/** Parameters go into the body; the default for POST, PUT and PATCH. */
		in_body?: boolean;
		on_page?: (page: { nextPageParam?: string | number | undefined; response: Answer<any> }) => Promise<void>;
	}

	interface CursorPagination extends CommonPagination {
		type: 'cursor';
		cursor_path_in_response: string;
		cursor_name_in_request: string;
	}

	interface LinkPagination extends CommonPagination {
		type: 'link';
		link_rel_in_response_header?: string;
		link_path_in_response_body?: string;
	}

	interface OffsetPagination extends CommonPagination {
		type: 'offset';
		offset_name_in_request: string;
		offset_start_value?: number;
		offset_calculation_method?: 'per-page' | 'by-response-size';
	}

	export interface ProxyConfiguration {
		/** Path below the provider's base URL. */
		endpoint: string;
		method?: Method | Lowercase<Method>;
		headers?: Record<string, string>;
		params?: string | Record<string, string | number | string[] | number[]>;
		data?: unknown;
		/** Extra attempts after a network failure, 429 or 5xx; the default is 0. */
		retries?: number;
		/** Further statuses to try again on. */
		retryOn?: number[] | null;
		/** Response headers that say when to try again. */
		retryHeader?: {
			at?: string | string[];
			after?: string | string[];
			remaining?: string;
			error_code?: string[];
			in_body?: { path: string; value?: string; strategy: 'at' | 'after' };
		};
		baseUrlOverride?: string | undefined;
		decompress?: boolean | string;
		responseType?: 'arraybuffer' | 'blob' | 'document' | 'json' | 'text' | 'stream' | undefined;
		forwardHeadersOnRedirect?: boolean;
		/** How the provider's list is read; what is left out comes from the provider's own description. */
		paginate?: Partial<CursorPagination> | Partial<LinkPagination> | Partial<OffsetPagination>;
		providerConfigKey?: string;
		connectionId?: string;
	}

	type Request = Omit<ProxyConfiguration, 'method'>;

	/** What a request answers: as axios does. */
	interface Answer<T> {
		data: T;
		status: number;
		statusText: string;
		headers: Record<string, any>;
		config: Record<string, any>;
		request?: any;
	}

	class ErrorOfAction<T = Record<string, unknown>> extends Error {
		type: string;
		payload?: Record<string, unknown>;
		constructor(payload?: T);
	}
	/** Ends the function with a payload for its caller: throw new nango.ActionError(...). */
	export type ActionError<T = Record<string, unknown>> = ErrorOfAction<T>;

	interface Raw {
		raw: Record<string, any>;
	}
	interface Expiry {
		expires_at?: string | undefined;
	}
	interface ClientOverride {
		config_override?: { client_id?: string | undefined; client_secret?: string | undefined } | undefined;
	}
	interface AppCredentials extends Raw, Expiry {
		type: 'APP';
		access_token: string;
		jwtToken?: string;
	}
	interface OAuth2Credentials extends Raw, Expiry, ClientOverride {
		type: 'OAUTH2';
		access_token: string;
		refresh_token?: string | undefined;
	}
	interface JwtCredentials extends Expiry {
		[key: string]: any;
		type: 'JWT';
		token?: string;
	}
	interface TwoStepCredentials extends Raw, Expiry {
		[key: string]: any;
		type: 'TWO_STEP';
		token?: string;
		refresh_token?: string;
	}
	interface PluginCredentials {
		[key: string]: any;
		type: 'BASIC';
	}
	type NoCredentials = Record<string, never>;
	type Credentials =
		| ({ type: 'OAUTH1'; oauth_token: string; oauth_token_secret: string } & Raw)
		| OAuth2Credentials
		| ({ type: 'OAUTH2_CC'; token: string; client_id: string; client_secret: string; client_certificate?: string | undefined; client_private_key?: string | undefined } & Raw & Expiry)
		| { type: 'BASIC'; username: string; password: string }
		| { type: 'API_KEY'; apiKey: string }
		| AppCredentials
		| NoCredentials
		| ({ type: 'CUSTOM' } & Raw)
		| ({ type: 'TBA'; token_id: string; token_secret: string } & ClientOverride)
		| JwtCredentials
		| ({ type: 'BILL'; username: string; password: string; organization_id: string; dev_key: string; session_id?: string; user_id?: string } & Raw & Expiry)
		| TwoStepCredentials
		| ({ type: 'CUSTOM'; app: AppCredentials; user: OAuth2Credentials | null } & Raw)
		| ({ type: 'SIGNATURE'; username: string; password: string; token?: string } & Expiry)
		| PluginCredentials
		| ({
				type: 'AWS_SIGV4';
				role_arn: string;
				region: string;
				service: string;
				access_key_id: string;
				secret_access_key: string;
				session_token: string;
				external_id?: string | undefined;
		  } & Raw &
				Expiry);

	interface Connection {
		id: number;
		connection_id: string;
		provider_config_key: string;
		provider: string;
		connection_config: Record<string, any>;
		metadata: Record<string, unknown> | null;
		credentials: Credentials;
		tags: Record<string, string>;
		end_user: { id: string; display_name: string | null; email: string | null; tags: Record<string, string> | null; organization: { id: string; display_name: string | null } | null } | null;
		errors: { type: string; log_id: string }[];
		webhook_url_override: string | null;
		created_at: string;
		updated_at: string;
		last_fetched_at: string | null;
	}

	interface Integration {
		unique_key: string;
		provider: string;
		display_name: string | null;
		logo: string;
		forward_webhooks: boolean;
		created_at: string;
		updated_at: string;
		webhook_url?: string | null;
		credentials_label?: Record<string, string> | undefined;
		preconfigured_credentials?: string[] | undefined;
		preconfigured_connection_config?: string[] | undefined;
		credentials?: ({ type: string } & Record<string, any>) | null;
	}

	interface FetchAnswer {
		readonly status: number;
		readonly statusText: string;
		readonly ok: boolean;
		readonly url: string;
		readonly redirected: boolean;
		readonly headers: Headers;
		text(): Promise<string>;
		json(): Promise<any>;
		arrayBuffer(): Promise<ArrayBuffer>;
	}

	type Metadata = z.ZodObject | z.ZodVoid | undefined;
	type Checkpoint = z.ZodObject<Record<string, z.ZodString | z.ZodNumber | z.ZodBoolean>> | undefined;
	type Model = z.ZodObject<{ id: z.ZodString }>;
	type Models = Record<string, Model>;
	type Infer<T> = z.infer<Exclude<T, undefined>>;
	interface RawRecord {
		[key: string]: unknown;
		id: string;
	}
	type Identified<T extends RawRecord> = Pick<T, 'id'> & Partial<T>;
	type Variant = string | { name: string; variant: string };

	export interface NangoAction<
		TMetadata extends Metadata = never,
		TCheckpoint extends Checkpoint = never,
		TMetadataInferred = Infer<TMetadata>,
		TCheckpointInferred = Infer<TCheckpoint>,
	> {
		logger: { level: 'debug' | 'info' | 'warn' | 'error' | 'off' };
		activityLogId: string;
		syncId?: string;
		syncJobId?: number;
		nangoConnectionId?: number;
		environmentId: number;
		environmentName?: string;
		accountId: number;
		connectionId: string;
		providerConfigKey: string;
		provider?: string;
		scriptType: 'function' | 'sync' | 'action' | 'webhook' | 'on-event';
		isCLI: boolean | undefined;

		ActionError: typeof ErrorOfAction;

		proxy<T = any>(config: ProxyConfiguration): Promise<Answer<T>>;
		get<T = any>(config: Request): Promise<Answer<T>>;
		post<T = any>(config: Request): Promise<Answer<T>>;
		put<T = any>(config: Request): Promise<Answer<T>>;
		patch<T = any>(config: Request): Promise<Answer<T>>;
		delete<T = any>(config: Request): Promise<Answer<T>>;
		paginate<T = any>(config: ProxyConfiguration): AsyncGenerator<T[], undefined, void>;
		/** A request without the connection's credentials and without retries. */
		uncontrolledFetch(options: { url: URL; method?: Method; headers?: Record<string, string> | undefined; body?: string | null }): Promise<FetchAnswer>;

		/** The last argument may be { level }. */
		log(...args: any[]): MaybePromise<void>;
		setLogger(logger: { level: 'debug' | 'info' | 'warn' | 'error' | 'off' }): void;

		getConnection(
			providerConfigKey?: string,
			connectionId?: string,
			options?: { refreshToken?: boolean; refreshGithubAppJwtToken?: boolean; forceRefresh?: boolean },
		): Promise<Connection>;
		getToken(): Promise<string | { oAuthToken: string; oAuthTokenSecret: string } | Credentials>;
		getVariant(): string;
		getMetadata<T = TMetadataInferred>(): Promise<T>;
		/** Replaces the connection's metadata. */
		setMetadata(metadata: TMetadataInferred): Promise<Answer<any>>;
		/** Merges into the connection's metadata, one level deep. */
		updateMetadata(metadata: Partial<TMetadataInferred>): Promise<Answer<any>>;
		/** @deprecated use setMetadata */
		setFieldMapping(mapping: Record<string, string>): Promise<Answer<object>>;
		/** @deprecated use getMetadata */
		getFieldMapping(): Promise<Record<string, string>>;
		getIntegration(options?: { include?: ('webhook' | 'credentials')[] | undefined }): Promise<Integration>;
		getWebhookURL(): Promise<string | null | undefined>;
		getEnvironmentVariables(): Promise<{ name: string; value: string }[] | null>;
		getFlowAttributes<A = object>(): A | null;

		triggerAction<In = unknown, Out = object>(providerConfigKey: string, connectionId: string, actionName: string, input?: In): Promise<Out>;
		triggerSync(
			providerConfigKey: string,
			connectionId: string,
			sync: Variant,
			mode?: 'incremental' | 'full_refresh' | 'full_refresh_and_clear_cache' | boolean,
		): Promise<void | string>;
		startSync(providerConfigKey: string, syncs: Variant[], connectionId?: string): Promise<void>;

		tryAcquireLock(options: { key: string; ttlMs: number }): Promise<boolean>;
		releaseLock(options: { key: string }): Promise<boolean>;
		releaseAllLocks(): Promise<void>;

		getCheckpoint(): Promise<TCheckpointInferred | null>;
		saveCheckpoint(checkpoint: TCheckpointInferred): Promise<void>;
		clearCheckpoint(): Promise<void>;

		zodValidateInput<T = any, Z = any>(options: { zodSchema: z.ZodType<Z>; input: T }): Promise<z.ZodSafeParseSuccess<Z>>;
	}

	export interface NangoSync<
		TModels extends Models = never,
		TMetadata extends Metadata = never,
		TCheckpoint extends Checkpoint = never,
		TName extends keyof TModels = keyof TModels,
	> extends NangoAction<TMetadata, TCheckpoint> {
		variant: string;
		lastSyncDate?: Date;
		track_deletes: boolean;
		emptyCache: boolean;

		batchSave<T extends RawRecord = z.infer<TModels[TName]>>(records: T[], model: TName): MaybePromise<boolean>;
		/** @deprecated use batchSave */
		batchSend<T extends RawRecord = z.infer<TModels[TName]>>(records: T[], model: TName): Promise<boolean | null>;
		batchUpdate<T extends RawRecord = z.infer<TModels[TName]>>(records: Identified<T>[], model: TName): MaybePromise<boolean>;
		batchDelete<T extends RawRecord = z.infer<TModels[TName]>>(records: Identified<T>[], model: TName): MaybePromise<boolean>;
		getRecordsByIds<K = string | number, T extends RawRecord = z.infer<TModels[TName]>>(ids: K[], model: TName): MaybePromise<Map<K, T>>;
		listRecords<T extends RawRecord = z.infer<TModels[TName]>>(model: TName, options?: { cursor?: string }): AsyncGenerator<T>;
		trackDeletesStart(model: TName): MaybePromise<void>;
		trackDeletesEnd(model: TName): MaybePromise<{ deletedKeys: string[] }>;
		/** @deprecated use trackDeletesStart and trackDeletesEnd */
		deleteRecordsFromPreviousExecutions(model: TName): MaybePromise<{ deletedKeys: string[] }>;
		setMergingStrategy(merging: { strategy: 'ignore_if_modified_after' | 'override' }, model: TName): Promise<void>;
	}

	interface Endpoint {
		method: Method;
		path: string;
		group?: string | null | undefined;
	}

	interface Definition<TMetadata extends Metadata, TCheckpoint extends Checkpoint> {
		description: string;
		/** Left out: the server counts. */
		version?: string;
		metadata?: TMetadata;
		/** An object of strings, numbers and booleans. */
		checkpoint?: TCheckpoint;
	}

	export interface CreateActionProps<
		TInput extends z.ZodTypeAny,
		TOutput extends z.ZodTypeAny,
		TMetadata extends Metadata = undefined,
		TCheckpoint extends Checkpoint = undefined,
	> extends Definition<TMetadata, TCheckpoint> {
		input: TInput;
		output: TOutput;
		scopes?: string[];
		/** @deprecated functions are called by their name */
		endpoint?: Endpoint;
		exec: (nango: NangoAction<TMetadata, TCheckpoint>, input: z.infer<TInput>) => MaybePromise<z.infer<TOutput>>;
	}

	export interface CreateSyncProps<TModels extends Models, TMetadata extends Metadata = never, TCheckpoint extends Checkpoint = never>
		extends Definition<TMetadata, TCheckpoint> {
		/** "every 5 minutes", "every day"; thirty seconds at least. */
		frequency: string;
		models: TModels;
		/** Runs as soon as a connection is made; left out, somebody has to start it. */
		autoStart?: boolean;
		scopes?: string[];
		webhookSubscriptions?: string[];
		/** @deprecated records are read by model */
		endpoints?: Endpoint[];
		/** @deprecated use checkpoints */
		syncType?: 'full' | 'incremental';
		/** @deprecated use trackDeletesStart and trackDeletesEnd */
		trackDeletes?: boolean;
		exec: (nango: NangoSync<TModels, TMetadata, TCheckpoint>) => MaybePromise<void>;
		onWebhook?: (nango: NangoSync<TModels, TMetadata, TCheckpoint>, payload: any) => MaybePromise<void>;
	}

	export interface CreateOnEventProps<TMetadata extends Metadata = undefined, TCheckpoint extends Checkpoint = undefined>
		extends Definition<TMetadata, TCheckpoint> {
		event: 'post-connection-creation' | 'pre-connection-deletion' | 'validate-connection';
		exec: (nango: NangoAction<TMetadata, TCheckpoint>) => MaybePromise<void>;
	}

	export interface CreateActionResponse<
		TInput extends z.ZodTypeAny,
		TOutput extends z.ZodTypeAny,
		TMetadata extends Metadata = undefined,
		TCheckpoint extends Checkpoint = undefined,
	> extends CreateActionProps<TInput, TOutput, TMetadata, TCheckpoint> {
		type: 'action';
	}

	export interface CreateSyncResponse<TModels extends Models, TMetadata extends Metadata = undefined, TCheckpoint extends Checkpoint = undefined>
		extends CreateSyncProps<TModels, TMetadata, TCheckpoint> {
		type: 'sync';
	}

	export interface CreateOnEventResponse<TMetadata extends Metadata = undefined, TCheckpoint extends Checkpoint = undefined>
		extends CreateOnEventProps<TMetadata, TCheckpoint> {
		type: 'onEvent';
	}

	export type CreateAnyResponse =
		| CreateSyncResponse<any, Metadata, Checkpoint>
		| CreateActionResponse<any, any, Metadata, Checkpoint>
		| CreateOnEventResponse<Metadata, Checkpoint>;

	export function createAction<
		TInput extends z.ZodTypeAny,
		TOutput extends z.ZodTypeAny,
		TMetadata extends Metadata = undefined,
		TCheckpoint extends Checkpoint = undefined,
	>(definition: CreateActionProps<TInput, TOutput, TMetadata, TCheckpoint>): CreateActionResponse<TInput, TOutput, TMetadata, TCheckpoint>;

	export function createSync<TModels extends Models, TMetadata extends Metadata = undefined, TCheckpoint extends Checkpoint = undefined>(
		definition: CreateSyncProps<TModels, TMetadata, TCheckpoint>,
	): CreateSyncResponse<TModels, TMetadata, TCheckpoint>;

	export function createOnEvent<TMetadata extends Metadata = undefined, TCheckpoint extends Checkpoint = undefined>(
		definition: CreateOnEventProps<TMetadata, TCheckpoint>,
	): CreateOnEventResponse<TMetadata, TCheckpoint>;
}
