import { pino, type Logger as Pino } from 'pino';

/** A logger: a constant message, then fields. Secrets never go into either. */
export type Logger = Pick<Pino, 'debug' | 'info' | 'warn' | 'error'>;

/** Kept back of what cannot be written; the rest is lost. */
const MAX_KEPT_BYTES = 1 << 20;

/** Messages here name their cause as Go's do: pino would add it once more. The stack tells of all causes. */
const serializeError = (err: unknown): unknown => (err instanceof Error ? { ...pino.stdSerializers.err(err), message: err.message } : err);

/** A disk that is full loses log lines, and nothing else: without a listener the first of them would end the process. */
function rootLogger(level: string, fd: number): Pino {
  const destination = pino.destination({ dest: fd, sync: true, maxLength: MAX_KEPT_BYTES });
  destination.on('error', () => {});
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { err: serializeError } }, destination);
}
let root = rootLogger(process.env['PODYARD_LOG'] ?? 'warn', 2);

/** Sends the logs of the whole process to a file descriptor, at a level (`debug`, `info`, `warn`, `error`, `silent`). Call it first. */
export function configureLogging(options: { level: string; fd?: number }): void {
  root = rootLogger(options.level, options.fd ?? 2);
}

/** The logger of one component. */
export function logger(component: string): Logger {
  let child: Pino | undefined;
  let parent: Pino | undefined;
  const get = (): Pino => {
    if (!child || parent !== root) [child, parent] = [root.child({ component }), root];
    return child;
  };
  return {
    get debug() { const l = get(); return l.debug.bind(l); },
    get info() { const l = get(); return l.info.bind(l); },
    get warn() { const l = get(); return l.warn.bind(l); },
    get error() { const l = get(); return l.error.bind(l); },
  };
}
