/** PEM blocks of certificate requests and certificates. */
const BLOCK = /-----BEGIN ([^-\n]+)-----\s*([A-Za-z0-9+/=\s]*?)-----END \1-----/;

/** The first PEM block of base64 text; undefined where there is none. */
function firstBlock(base64: string): { readonly type: string; readonly der: Buffer; readonly rest: string } | undefined {
  const pem = Buffer.from(base64, 'base64').toString('latin1');
  const match = BLOCK.exec(pem);
  return match ? { type: match[1]!, der: Buffer.from(match[2]!, 'base64'), rest: pem.slice(match.index + match[0].length) } : undefined;
}
/** Whether bytes are one DER sequence from end to end. */
function isSequence(der: Buffer): boolean {
  if (der.length < 2 || der[0] !== 0x30) return false;
  const first = der[1]!;
  if (first < 0x80) return der.length === 2 + first;
  const size = first & 0x7f;
  return size > 0 && size <= 4 && der.length > 2 + size && der.length === 2 + size + der.readUIntBE(2, size);
}
/** What is wrong with a certificate request, in the words of upstream's parser; undefined where nothing is. */
export function requestProblem(base64: string): string | undefined {
  const block = firstBlock(base64);
  if (block?.type !== 'CERTIFICATE REQUEST') return 'PEM block type must be CERTIFICATE REQUEST';
  return isSequence(block.der) ? undefined : 'asn1: structure error: tags don\'t match';
}
/** What is wrong with an issued certificate. */
export function certificateProblem(base64: string): string | undefined {
  const block = firstBlock(base64);
  if (!block) return 'no PEM blocks found';
  if (block.type !== 'CERTIFICATE') return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(block.type)}`;
  return isSequence(block.der) ? undefined : 'x509: malformed certificate';
}
