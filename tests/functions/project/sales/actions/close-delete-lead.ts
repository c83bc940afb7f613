import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'Delete a lead; a lead that is gone already counts as deleted',
	version: '1.0.0',
	endpoint: { method: 'DELETE', path: '/leads' },
	input: z.object({ lead_id: z.string() }),
	output: z.object({ success: z.boolean(), already_deleted: z.boolean().optional(), status: z.number() }),
	exec: async (nango, input) => {
		try {
			const response = await nango.delete({ endpoint: `/api/v1/lead/${input.lead_id}/`, retries: 3 });
			if (response.status !== 204 && response.status !== 200) {
				throw new nango.ActionError({ type: 'unexpected_status', message: `Unexpected status code: ${response.status}`, status: response.status });
			}
			return { success: true, status: response.status };
		} catch (error: unknown) {
			const status = (error as { response?: { status?: number } }).response?.status;
			if (status === 404 || status === 410) {
				return { success: true, already_deleted: true, status };
			}
			if (error instanceof nango.ActionError) throw error;
			if (error instanceof Error && 'code' in error && error.code === 'ERR_BAD_REQUEST') {
				throw new nango.ActionError({ type: 'bad_request', message: error.message, code: error.code, details: (error as any).response.data, retry_after: (error as any).response.headers['retry-after'] ?? null });
			}
			throw error;
		}
	}
});
