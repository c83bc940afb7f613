import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'Update a listing: put, patch, image from another host',
	version: '1.0.0',
	input: z.object({ listing: z.number(), image: z.string(), tags: z.array(z.string()) }),
	output: z.any(),
	exec: async (nango, { listing, image, tags }) => {
		const picture = await nango.get({ baseUrlOverride: image, endpoint: '/img.jpg', responseType: 'arraybuffer', headers: { Accept: 'image/*' } });
		const bytes: Buffer = Buffer.isBuffer(picture.data) ? picture.data : Buffer.from(picture.data);
		const [put, patch] = await Promise.all([
			nango.put({ endpoint: `/v3/listings/${listing}/image`, data: { image: `data:image/jpeg;base64,${bytes.toString('base64')}`, rank: 1, overwrite: true } }),
			nango.patch({ endpoint: `/v3/listings/${listing}`, data: { tags: [...new Set(tags.map((t) => t.trim().toLowerCase()))].slice(0, 13), title: undefined, materials: null } })
		]);
		return { put: put.status, patch: patch.data, size: bytes.length, kind: bytes.subarray(0, 3).toString('hex') === 'ffd8ff' ? 'jpeg' : 'other', type: picture.headers['content-type'], u16: bytes.readUInt16BE(0), first: [...bytes.subarray(0, 4)] };
	}
});
