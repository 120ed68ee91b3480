/** What a person can do about an error that ended a start, where that is more than to read it. */
import { UnusableCheckpoint } from '#kubelet/checkpoint-file.ts';

export function remedyOf(err: unknown): string | undefined {
  for (let at = err; at instanceof Error; at = at.cause) {
    if (at instanceof UnusableCheckpoint) return `the file says what Pods of this node have for themselves; once none of them runs it may go: ./podyard down --pods, rm ${at.path}, ./podyard up`;
  }
  return undefined;
}
