import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Collation and compatibility forms beyond Latin basics',
	input: z.object({}),
	output: z.any(),
	exec: async () => ({
		sorted: ['Zoë', 'straße', 'strasse', 'æon', 'aeon', 'Łódź', 'Lodz', 'øre', 'ore', 'Đ', 'D', 'привет', 'Ёлка', 'ялта', '東京', 'α', 'Ω'].sort((a, b) => a.localeCompare(b)),
		kc: ['ﬁ', '①', 'ｆｕｌｌ', '½'].map((text) => text.normalize('NFKC'))
	})
});
