import { createSync } from 'nango';
import * as z from 'zod';

const Text = z.object({ id: z.string(), text: z.any() });

export default createSync({
	description: 'Records of every script, sign and number',
	frequency: 'every hour',
	autoStart: false,
	models: { Text },
	exec: async (nango) => {
		const { data } = await nango.get<any>({ endpoint: '/texts' });
		const own = { emoji: '👩‍💻🏳️‍🌈', lines: '\u2028\u2029\r\n\t', quotes: '"\\/\b\f', combining: 'e\u0301', rtl: 'שלום', wide: '𝒳𝒴', 'ключ 🔑': 1, '': 'empty key' };
		const numbers = [0, -0, 1e21, 1e-7, 0.1 + 0.2, 123456789012345680000, 5e-324, 1.7976931348623157e308, 2 ** 53, -1.5];
		await nango.batchSave([{ id: 'emoji 😀/ü', text: own }, { id: 'numbers', text: numbers }, { id: 'data', text: data }, { id: 'nothing', text: null }, { id: 'undefined', text: { a: undefined, b: [undefined, NaN, Infinity], c: new Date(0), d: Buffer.from('ü') } }], 'Text');
		const back = await nango.getRecordsByIds(['emoji 😀/ü', 'numbers'], 'Text');
		await nango.log(`${JSON.stringify(back.get('numbers')?.text)} ${back.get('emoji 😀/ü')?.text.emoji === own.emoji}`, { level: 'warn' });
	}
});
