export { Address } from './address.js';
export type { Line } from './address.js';
export * as text from './text.js';
