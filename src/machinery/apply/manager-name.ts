/** Who a request's changes are booked on. */

const MAX_BYTES = 128;

/** The field manager of a request: its `fieldManager` parameter, else what its user agent begins with (`kubectl/v1.36` → `kubectl`). */
export function managerName(fieldManager: string | undefined, userAgent: string | undefined): string {
  if (fieldManager) return fieldManager;
  const prefix = (userAgent ?? '').split('/', 1)[0]!;
  let out = '';
  let bytes = 0;
  for (const char of prefix) {
    if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char)) continue;
    bytes += Buffer.byteLength(char);
    if (bytes > MAX_BYTES) break;
    out += char;
  }
  return out;
}
