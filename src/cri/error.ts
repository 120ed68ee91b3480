/** gRPC status codes by number, as Go spells them. */
const CODES = [
  'OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied', 'ResourceExhausted',
  'FailedPrecondition', 'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated',
] as const;

export type CriCode = (typeof CODES)[number];

/** The number of a code on the wire. */
export function codeNumber(code: CriCode): number {
  return CODES.indexOf(code);
}

/**
 * A call to the container runtime that failed. The message is the text Go's gRPC prints, which users know from Pod events:
 * `rpc error: code = NotFound desc = an error occurred when try to find container "x": not found`.
 */
export class CriError extends Error {
  readonly code: CriCode;
  /** The text after `desc = `. */
  readonly desc: string;

  constructor(code: CriCode, desc: string, options?: ErrorOptions) {
    super(`rpc error: code = ${code} desc = ${desc}`, options);
    this.name = 'CriError';
    this.code = code;
    this.desc = desc;
  }

  /** Any failure of a gRPC call. `endpoint` names the socket in connection errors. */
  static from(error: unknown, endpoint = ''): CriError {
    if (error instanceof CriError) return error;
    const { code, details, message } = (error ?? {}) as { code?: unknown; details?: unknown; message?: unknown };
    const name = typeof code === 'number' ? CODES[code] : undefined;
    const desc = typeof details === 'string' && details !== '' ? details : String(message ?? error);
    if (name === 'Unavailable') return new CriError(name, connectionDesc(desc, endpoint), { cause: error });
    return new CriError(name ?? 'Unknown', desc, { cause: error });
  }
}

/** True when `error` is a {@link CriError} with this code. */
export function isCriError(error: unknown, code: CriCode): error is CriError {
  return error instanceof CriError && error.code === code;
}

const ERRNO: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory', ECONNREFUSED: 'connection refused', EACCES: 'permission denied', ECONNRESET: 'connection reset by peer', EPIPE: 'broken pipe',
};

/** What Go says where grpc-js reports a failed connection: `connection error: desc = "transport: Error while dialing: …"`. */
function connectionDesc(desc: string, endpoint: string): string {
  const errno = /\b(E[A-Z]{3,})\b/.exec(desc)?.[1];
  if (errno === undefined || !ERRNO[errno]) return desc;
  if (errno === 'ECONNRESET' || errno === 'EPIPE') return `error reading from server: ${ERRNO[errno]}`;
  return `connection error: desc = "transport: Error while dialing: dial unix ${endpoint.replace(/^unix:(\/\/)?/, '')}: connect: ${ERRNO[errno]}"`;
}
