// The module unzipper as far as it reads archives in memory: unzipper.Open.buffer(bytes).  The format is PKWARE's
// APPNOTE.TXT; the host takes the compressed data apart.
import { host } from "./core.js";
import { octets, wrap } from "./bytes.js";

const END = 0x06054b50; // 4.3.16
const ENTRY = 0x02014b50; // 4.3.12
const LOCAL = 0x04034b50; // 4.3.7
const END_SIZE = 22;
const ENTRY_SIZE = 46;
const LOCAL_SIZE = 30;
const MAX_COMMENT = 65535;
const STORED = 0;
const DEFLATED = 8;
const LARGE = 0xffffffff;

function fail(text) {
	throw new Error(text);
}

function findEnd(bytes) {
	const last = Math.max(0, bytes.length - END_SIZE - MAX_COMMENT);
	for (let at = bytes.length - END_SIZE; at >= last; at--) {
		if (bytes[at] === 0x50 && bytes.readUInt32LE(at) === END) return at;
	}
	return fail("FILE_ENDED");
}

// The time of MS-DOS, in UTC as unzipper has it.
function dateOf(date, time) {
	return new Date(Date.UTC((date >> 9) + 1980, ((date >> 5) & 15) - 1, date & 31, time >> 11, (time >> 5) & 63, (time & 31) * 2));
}

let table = null;

function crc32(bytes) {
	if (table === null) {
		table = [];
		for (let i = 0; i < 256; i++) {
			let value = i;
			for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
			table.push(value);
		}
	}
	let crc = -1;
	for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
	return (crc ^ -1) >>> 0;
}

function contents(bytes, file) {
	const at = file.offsetToLocalFileHeader;
	if (file.flags & 1) fail("MISSING_PASSWORD");
	if (at + LOCAL_SIZE > bytes.length || bytes.readUInt32LE(at) !== LOCAL) fail("invalid signature: the archive is damaged");
	const start = at + LOCAL_SIZE + bytes.readUInt16LE(at + 26) + bytes.readUInt16LE(at + 28);
	const end = start + file.compressedSize;
	if (end > bytes.length) fail("FILE_ENDED");
	const data = bytes.subarray(start, end);
	let out = data;
	if (file.compressionMethod === DEFLATED) out = file.uncompressedSize === 0 ? data.subarray(0, 0) : wrap(host.inflate(data, file.uncompressedSize));
	else if (file.compressionMethod !== STORED) fail(`compression method ${file.compressionMethod} is not supported`);
	if (out.length !== file.uncompressedSize || crc32(out) !== file.crc32) fail(`${file.path}: the archive is damaged`);
	return out === data ? Buffer.from(data) : out;
}

function readEntry(bytes, at) {
	if (at + ENTRY_SIZE > bytes.length || bytes.readUInt32LE(at) !== ENTRY) fail("invalid signature: the archive is damaged");
	const two = (offset) => bytes.readUInt16LE(at + offset);
	const four = (offset) => bytes.readUInt32LE(at + offset);
	const nameEnd = at + ENTRY_SIZE + two(28);
	const next = nameEnd + two(30) + two(32);
	const pathBuffer = bytes.subarray(at + ENTRY_SIZE, nameEnd);
	const isUnicode = (two(8) & 0x800) !== 0;
	const path = pathBuffer.toString("utf8");
	const compressedSize = four(20);
	const uncompressedSize = four(24);
	const offsetToLocalFileHeader = four(42);
	if (next > bytes.length) fail("FILE_ENDED");
	if (compressedSize === LARGE || uncompressedSize === LARGE || offsetToLocalFileHeader === LARGE) fail("ZIP64 is not supported");
	const file = {
		signature: ENTRY,
		versionMadeBy: two(4),
		versionsNeededToExtract: two(6),
		flags: two(8),
		compressionMethod: two(10),
		lastModifiedTime: two(12),
		lastModifiedDate: two(14),
		crc32: four(16),
		compressedSize,
		uncompressedSize,
		fileNameLength: two(28),
		extraFieldLength: two(30),
		fileCommentLength: two(32),
		diskNumber: two(34),
		internalFileAttributes: two(36),
		externalFileAttributes: four(38),
		offsetToLocalFileHeader,
		lastModifiedDateTime: dateOf(two(14), two(12)),
		pathBuffer,
		path,
		isUnicode,
		comment: bytes.subarray(next - two(32), next).toString("utf8"),
		type: uncompressedSize === 0 && /[/\\]$/.test(path) ? "Directory" : "File",
		buffer: async () => contents(bytes, file),
		stream: () => fail("unzipper: there are no streams here, use buffer()"),
	};
	return { file, next };
}

function readDirectory(bytes) {
	const end = findEnd(bytes);
	const count = bytes.readUInt16LE(end + 10);
	let at = bytes.readUInt32LE(end + 16);
	if (count === 0xffff || at === LARGE) fail("ZIP64 is not supported");
	const files = [];
	for (let i = 0; i < count; i++) {
		const { file, next } = readEntry(bytes, at);
		files.push(file);
		at = next;
	}
	return {
		signature: END,
		diskNumber: bytes.readUInt16LE(end + 4),
		numberOfRecordsOnDisk: bytes.readUInt16LE(end + 8),
		numberOfRecords: count,
		sizeOfCentralDirectory: bytes.readUInt32LE(end + 12),
		offsetToStartOfCentralDirectory: bytes.readUInt32LE(end + 16),
		commentLength: bytes.readUInt16LE(end + 20),
		comment: bytes.subarray(end + END_SIZE, end + END_SIZE + bytes.readUInt16LE(end + 20)).toString("utf8"),
		files,
	};
}

const none = (name) => async () => fail(`unzipper.Open.${name} cannot run here: read the archive into a Buffer and use unzipper.Open.buffer`);

export const Open = {
	async buffer(data) {
		const bytes = octets(data);
		return readDirectory(bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
	},
	file: none("file"),
	url: none("url"),
	s3: none("s3"),
	custom: none("custom"),
};
