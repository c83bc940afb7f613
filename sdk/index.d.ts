// Types of the module `nango` that function projects import.  Reference it from the project's tsconfig.json:
//   "include": ["index.ts", "**/*.ts", "path/to/sdk/index.d.ts"]
declare module 'nango' {
	import type * as z from 'zod';

	export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'get' | 'post' | 'put' | 'patch' | 'delete';
	export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off';

	export interface CursorPagination {
		type: 'cursor';
		cursor_path_in_response: string;
		cursor_name_in_request: string;
	}

	export interface LinkPagination {
		type: 'link';
		link_rel_in_response_header?: string;
		link_path_in_response_body?: string;
	}

	export interface OffsetPagination {
		type: 'offset';
		offset_name_in_request: string;
		offset_start_value?: number;
		offset_calculation_method?: 'per-page' | 'by-response-size';
	}

	/** How a provider's list is read; what is left out comes from the provider's own description. */
	export type Pagination = Partial<CursorPagination | LinkPagination | OffsetPagination> & {
		limit?: number;
		limit_name_in_request?: string;
		/** Dot path of the list in the response; the default is the response itself. */
		response_path?: string;
		/** Parameters go into the body; the default for POST, PUT and PATCH. */
		in_body?: boolean;
		on_page?: (page: { nextPageParam?: string | number | undefined; response: Response }) => Promise<void> | void;
	};

	export interface ProxyConfiguration {
		/** Path below the provider's base URL. */
		endpoint: string;
		method?: HttpMethod;
		headers?: Record<string, string | number | boolean | null | undefined>;
		params?: string | Record<string, unknown> | URLSearchParams;
		data?: unknown;
		/** Extra attempts after a network failure, 429 or 5xx; the default is 0. */
		retries?: number;
		/** Further statuses to try again on. */
		retryOn?: number[] | null;
		/** Response headers that say when to try again. */
		retryHeader?: { at?: string; after?: string };
		baseUrlOverride?: string;
		decompress?: boolean;
		responseType?: 'arraybuffer' | 'blob' | 'document' | 'json' | 'text';
		forwardHeadersOnRedirect?: boolean;
		paginate?: Pagination;
		providerConfigKey?: string;
		connectionId?: string;
	}

	export type RequestConfiguration = Omit<ProxyConfiguration, 'method'>;

	export interface Response<T = any> {
		data: T;
		status: number;
		statusText: string;
		headers: Record<string, any>;
		config: Record<string, any>;
	}

	/** Thrown for answers outside of 200 to 299 and, without `response`, when none came. */
	export interface RequestError extends Error {
		isAxiosError: true;
		code?: string;
		status?: number;
		response?: Response;
		config: Record<string, any>;
		request: Record<string, any>;
	}

	/** Ends the function with a payload for its caller. */
	export class ActionError<T = Record<string, unknown>> extends Error {
		constructor(payload?: T);
		type: 'action_script_runtime_error';
		payload?: T;
	}

	export interface Connection<TMetadata = Record<string, any>> {
		id: number;
		connection_id: string;
		provider_config_key: string;
		provider: string;
		connection_config: Record<string, any>;
		metadata: TMetadata;
		credentials: Record<string, any>;
		tags: Record<string, string>;
		end_user: Record<string, any> | null;
		errors: { type: string; log_id: string }[];
		created_at: string;
		updated_at: string;
		last_fetched_at: string;
	}

	export interface Integration {
		unique_key: string;
		provider: string;
		display_name: string;
		logo?: string;
		created_at: string;
		updated_at: string;
		webhook_url?: string | null;
		credentials?: Record<string, any> | null;
	}

	export type CheckpointValue = string | number | boolean | Date;
	export type Checkpoint = Record<string, CheckpointValue>;

	export interface FetchResponse {
		readonly status: number;
		readonly statusText: string;
		readonly ok: boolean;
		readonly url: string;
		readonly redirected: boolean;
		readonly headers: {
			get(name: string): string | null;
			has(name: string): boolean;
			forEach(callback: (value: string, name: string) => void): void;
		};
		text(): Promise<string>;
		json(): Promise<any>;
		arrayBuffer(): Promise<ArrayBuffer>;
	}

	type Infer<T> = T extends z.ZodType ? z.infer<T> : never;

	export interface NangoAction<TMetadata = any, TCheckpoint = Checkpoint> {
		readonly connectionId: string;
		readonly providerConfigKey: string;
		readonly provider: string;
		readonly environmentName: string;
		readonly environmentId: number;
		readonly activityLogId: string;
		readonly scriptType: 'action' | 'sync' | 'webhook' | 'on-event';
		readonly logger: { level: LogLevel };
		readonly isCLI: boolean;

		readonly ActionError: typeof ActionError;

		proxy<T = any>(config: ProxyConfiguration): Promise<Response<T>>;
		get<T = any>(config: RequestConfiguration): Promise<Response<T>>;
		post<T = any>(config: RequestConfiguration): Promise<Response<T>>;
		put<T = any>(config: RequestConfiguration): Promise<Response<T>>;
		patch<T = any>(config: RequestConfiguration): Promise<Response<T>>;
		delete<T = any>(config: RequestConfiguration): Promise<Response<T>>;
		paginate<T = any>(config: ProxyConfiguration): AsyncGenerator<T[], undefined, void>;
		/** A request without the connection's credentials and without retries. */
		uncontrolledFetch(options: {
			url: URL | string;
			method?: HttpMethod;
			headers?: Record<string, string>;
			body?: string | null;
		}): Promise<FetchResponse>;

		log(message: string, ...rest: unknown[]): Promise<void>;
		setLogger(options: { level: LogLevel }): void;

		getConnection(
			providerConfigKey?: string,
			connectionId?: string,
			options?: { forceRefresh?: boolean; refreshToken?: boolean; refreshGithubAppJwtToken?: boolean },
		): Promise<Connection<TMetadata>>;
		getToken(): Promise<any>;
		getMetadata<T = TMetadata>(): Promise<T>;
		/** Replaces the connection's metadata. */
		setMetadata(metadata: TMetadata): Promise<Response>;
		/** Merges into the connection's metadata, one level deep. */
		updateMetadata(metadata: Partial<TMetadata>): Promise<Response>;
		getIntegration(options?: { include?: ('webhook' | 'credentials')[] }): Promise<Integration>;
		getWebhookURL(): Promise<string | null | undefined>;
		getEnvironmentVariables(): Promise<{ name: string; value: string }[]>;

		triggerAction<T = any>(
			providerConfigKey: string,
			connectionId: string,
			actionName: string,
			input?: unknown,
		): Promise<T>;
		triggerSync(providerConfigKey: string, connectionId: string, sync: string, options?: unknown): Promise<void>;
		startSync(providerConfigKey: string, syncs: unknown[], connectionId?: string): Promise<void>;

		tryAcquireLock(options: { key: string; ttlMs: number }): Promise<boolean>;
		releaseLock(options: { key: string }): Promise<boolean>;
		releaseAllLocks(): Promise<void>;

		getCheckpoint(): Promise<TCheckpoint | null>;
		saveCheckpoint(checkpoint: TCheckpoint): Promise<void>;
		clearCheckpoint(): Promise<void>;

		zodValidateInput<T>(options: { zodSchema: z.ZodType<T>; input: unknown }): Promise<{ success: true; data: T }>;
	}

	export interface NangoSync<TModels = Record<string, any>, TMetadata = any, TCheckpoint = Checkpoint>
		extends NangoAction<TMetadata, TCheckpoint> {
		readonly variant: string;
		readonly lastSyncDate?: Date;

		batchSave<K extends keyof TModels & string>(records: TModels[K][], model: K): Promise<boolean>;
		batchUpdate<K extends keyof TModels & string>(records: Partial<TModels[K]>[], model: K): Promise<boolean>;
		batchDelete<K extends keyof TModels & string>(records: { id: string }[], model: K): Promise<boolean>;
		getRecordsByIds<I extends string | number, K extends keyof TModels & string>(
			ids: I[],
			model: K,
		): Promise<Map<I, TModels[K]>>;
		listRecords<K extends keyof TModels & string>(
			model: K,
			options?: { cursor?: string },
		): AsyncGenerator<TModels[K], undefined, void>;
		trackDeletesStart(model: keyof TModels & string): Promise<void>;
		trackDeletesEnd(model: keyof TModels & string): Promise<{ deletedKeys: string[] }>;
		setMergingStrategy(
			merging: { strategy: 'override' | 'ignore_if_modified_after' },
			model: keyof TModels & string,
		): Promise<void>;
	}

	export interface Endpoint {
		method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
		path: string;
		group?: string;
	}

	interface Definition<TMetadata extends z.ZodType | undefined, TCheckpoint extends z.ZodType | undefined> {
		description: string;
		/** Left out: the server counts. */
		version?: string;
		metadata?: TMetadata;
		checkpoint?: TCheckpoint;
		scopes?: string[];
	}

	export interface ActionDefinition<
		TInput extends z.ZodType,
		TOutput extends z.ZodType,
		TMetadata extends z.ZodType | undefined = undefined,
		TCheckpoint extends z.ZodType | undefined = undefined,
	> extends Definition<TMetadata, TCheckpoint> {
		input: TInput;
		output: TOutput;
		endpoint?: Endpoint;
		exec: (
			nango: NangoAction<Infer<TMetadata>, Infer<TCheckpoint>>,
			input: z.infer<TInput>,
		) => Promise<z.infer<TOutput>> | z.infer<TOutput>;
	}

	export interface SyncDefinition<
		TModels extends Record<string, z.ZodType>,
		TMetadata extends z.ZodType | undefined = undefined,
		TCheckpoint extends z.ZodType | undefined = undefined,
	> extends Definition<TMetadata, TCheckpoint> {
		/** "every 5 minutes", "every day"; thirty seconds at least. */
		frequency: string;
		models: TModels;
		autoStart?: boolean;
		syncType?: 'full' | 'incremental';
		trackDeletes?: boolean;
		endpoints?: Endpoint[];
		webhookSubscriptions?: string[];
		exec: (nango: NangoSync<ModelsOf<TModels>, Infer<TMetadata>, Infer<TCheckpoint>>) => Promise<void> | void;
		onWebhook?: (
			nango: NangoSync<ModelsOf<TModels>, Infer<TMetadata>, Infer<TCheckpoint>>,
			payload: any,
		) => Promise<void> | void;
	}

	type ModelsOf<T extends Record<string, z.ZodType>> = { [K in keyof T]: z.infer<T[K]> };

	export interface OnEventDefinition<
		TMetadata extends z.ZodType | undefined = undefined,
		TCheckpoint extends z.ZodType | undefined = undefined,
	> extends Definition<TMetadata, TCheckpoint> {
		event: 'post-connection-creation' | 'pre-connection-deletion' | 'validate-connection';
		exec: (nango: NangoAction<Infer<TMetadata>, Infer<TCheckpoint>>) => Promise<void> | void;
	}

	export function createAction<
		TInput extends z.ZodType,
		TOutput extends z.ZodType,
		TMetadata extends z.ZodType | undefined = undefined,
		TCheckpoint extends z.ZodType | undefined = undefined,
	>(
		definition: ActionDefinition<TInput, TOutput, TMetadata, TCheckpoint>,
	): { type: 'action' } & ActionDefinition<TInput, TOutput, TMetadata, TCheckpoint>;

	export function createSync<
		TModels extends Record<string, z.ZodType>,
		TMetadata extends z.ZodType | undefined = undefined,
		TCheckpoint extends z.ZodType | undefined = undefined,
	>(
		definition: SyncDefinition<TModels, TMetadata, TCheckpoint>,
	): { type: 'sync' } & SyncDefinition<TModels, TMetadata, TCheckpoint>;

	export function createOnEvent<
		TMetadata extends z.ZodType | undefined = undefined,
		TCheckpoint extends z.ZodType | undefined = undefined,
	>(
		definition: OnEventDefinition<TMetadata, TCheckpoint>,
	): { type: 'onEvent' } & OnEventDefinition<TMetadata, TCheckpoint>;
}
