/** A warning as it may stand in a header: one line, no control characters (upstream's `net.NewWarningHeader`). */
export function warningText(message: string): string {
  return message.replaceAll(/\p{Cc}+/gu, ' ').trim();
}
/** RFC 7234, 5.5: `299 - "text"`. Text is a quoted string; what is not ASCII goes as UTF-8 bytes. */
export function warningHeader(message: string): string {
  const quoted = warningText(message).replaceAll(/[\\"]/g, (c) => `\\${c}`);
  return `299 - "${Buffer.from(quoted, 'utf8').toString('latin1')}"`;
}
