/** The little of ASN.1's DER (X.690) that certificate requests need. */

export const DER = { integer: 0x02, bitString: 0x03, oid: 0x06, sequence: 0x30, context0: 0xa0 } as const;

export interface DerValue {
  readonly tag: number;
  /** With tag and length. */
  readonly raw: Buffer;
  readonly content: Buffer;
}

/** The value that begins at `at`. Throws a RangeError for what is cut short or of an indefinite or an impossible length. */
function readAt(bytes: Buffer, at: number): DerValue {
  const first = bytes.readUInt8(at + 1);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || lengthBytes > 4) throw new RangeError('length of a DER value out of range');
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  const start = at + 2 + lengthBytes;
  if (start + length > bytes.length) throw new RangeError('DER value is cut short');
  return { tag: bytes[at]!, raw: bytes.subarray(at, start + length), content: bytes.subarray(start, start + length) };
}
/** The values that follow each other in `bytes`, to its end. Throws a RangeError for what is not DER. */
export function readDer(bytes: Buffer): DerValue[] {
  const out: DerValue[] = [];
  for (let at = 0; at < bytes.length; at += out.at(-1)!.raw.length) out.push(readAt(bytes, at));
  return out;
}
/** One value. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.from(content.length.toString(16).padStart(content.length > 0xffff ? 6 : content.length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}
