/** The query of a log request (PodLogOptions of the API reference), as the kubelet reads it. */

/** Which of a container's log lines are wanted, and how they are shown. */
export interface LogOptions {
  /** Goes on with what is written later, until the container stops. */
  readonly follow: boolean;
  /** The container's run before the present one. */
  readonly previous: boolean;
  /** Lines from the end of the file; absent means all. */
  readonly tailLines?: number | undefined;
  /** Lines written before this time (milliseconds since the epoch) are left out. */
  readonly sinceMs?: number | undefined;
  /** Every line starts with its time in RFC 3339 with nine digits of fraction. */
  readonly timestamps: boolean;
  /** Nothing more is shown after so many bytes, even within a line. */
  readonly limitBytes?: number | undefined;
  readonly stream: 'All' | 'Stdout' | 'Stderr';
}

/** Why a log request is refused. */
export type LogOptionsError = { readonly code: 400; readonly message: 'Unable to decode query.' } | { readonly code: 422; readonly message: 'Invalid request.' };

const UNDECODABLE: LogOptionsError = { code: 400, message: 'Unable to decode query.' };
const INVALID: LogOptionsError = { code: 422, message: 'Invalid request.' };
const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Go's reading of a boolean parameter: present is true, unless it says `false` or `0`. */
function booleanOf(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
}
/** Undefined when absent, null when it is no integer. */
function integerOf(query: URLSearchParams, name: string): number | undefined | null {
  const value = query.get(name);
  if (value === null) return undefined;
  return /^[+-]?\d{1,19}$/.test(value) ? Number(value) : null;
}

/** Reads and validates the options of a log request. `nowMs` is what `sinceSeconds` counts from. */
export function parseLogOptions(query: URLSearchParams, nowMs: number): LogOptions | LogOptionsError {
  const tail = query.get('tail');
  // "tail" is the kubelet's older name, where "all" stood for no limit.
  const tailLines = tail !== null && tail !== '' ? (tail === 'all' ? undefined : integerOf(query, 'tail')) : integerOf(query, 'tailLines');
  const limitBytes = integerOf(query, 'limitBytes');
  const sinceSeconds = integerOf(query, 'sinceSeconds');
  const sinceTime = query.get('sinceTime') ?? '';
  if (tailLines === null || limitBytes === null || sinceSeconds === null) return UNDECODABLE;
  const timeMs = sinceTime === '' ? undefined : RFC3339.test(sinceTime) ? Date.parse(sinceTime.toUpperCase()) : NaN;
  if (Number.isNaN(timeMs)) return UNDECODABLE;
  const stream = query.get('stream') ?? 'All';
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr') return INVALID;
  if (tailLines !== undefined && (tailLines < 0 || stream !== 'All')) return INVALID;
  if (limitBytes !== undefined && limitBytes < 1) return INVALID;
  if (sinceSeconds !== undefined && (sinceSeconds < 1 || timeMs !== undefined)) return INVALID;
  return {
    follow: booleanOf(query, 'follow'), previous: booleanOf(query, 'previous'), timestamps: booleanOf(query, 'timestamps'),
    tailLines, limitBytes, stream, sinceMs: sinceSeconds === undefined ? timeMs : nowMs - sinceSeconds * 1000,
  };
}

export function isLogOptionsError(value: LogOptions | LogOptionsError): value is LogOptionsError {
  return 'code' in value;
}
