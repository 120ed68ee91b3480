/** An evaluation that failed: `no such key: x`, `divide by zero`. Logical operators may absorb it. */
export class CelError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CelError';
  }
}
/** The evaluation was ended because it costs too much. Nothing absorbs it. */
export class CostLimitError extends Error {
  constructor(message = 'operation cancelled: actual cost limit exceeded') {
    super(message);
    this.name = 'CostLimitError';
  }
}
export const noSuchOverload = (): CelError => new CelError('no such overload');
export const noSuchKey = (key: unknown): CelError => new CelError(`no such key: ${String(key)}`);
/** What is not an outcome of the expression but of its surroundings: it passes through every operator. */
export class Suspend extends Error {
  readonly until: Promise<unknown>;
  constructor(until: Promise<unknown>) {
    super('the evaluation waits for an answer');
    this.name = 'Suspend';
    this.until = until;
  }
}
