/** Why a Pod cannot have what it asks for, with the reason that its status shows. */
export class AdmissionError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.name = 'AdmissionError';
    this.reason = reason;
  }
}
export function topologyAffinityError(): AdmissionError {
  return new AdmissionError('TopologyAffinityError', 'Resources cannot be allocated with Topology locality');
}
