/** A step of making a volume ready that failed, in the words of its event: `MountVolume.MountDevice failed for volume "pv" : …`. */
export class VolumeError extends Error {
  /** The event's reason. */
  readonly reason: string;
  constructor(operation: string, volume: string, cause: unknown, reason = 'FailedMount') {
    super(`${operation} failed for volume "${volume}" : ${(cause as Error).message}`, { cause });
    this.name = 'VolumeError';
    this.reason = reason;
  }
}
/** What is known of a volume before any step: its claim is not bound, or the attachment does not come. */
export class UnreadyVolume extends Error {
  constructor(volume: string, cause: Error, phase: 'attach' | 'process') {
    super(phase === 'process'
      ? `Unable to attach or mount volumes: unmounted volumes=[${volume}], unattached volumes=[], failed to process volumes=[${volume}]: ${cause.message}`
      : `Unable to attach or mount volumes: unmounted volumes=[${volume}], unattached volumes=[${volume}], failed to process volumes=[]: ${cause.message}`, { cause });
    this.name = 'UnreadyVolume';
  }
}
