/**
 * Keeps the process alive until `work` is done. Timers of the clock do not, and an idle connection does not either: a
 * command whose only business is to wait for containerd would end in the middle of it.
 */
export async function holding<T>(work: Promise<T>): Promise<T> {
  const hold = setInterval(() => {}, 0x7fffffff);
  try {
    return await work;
  } finally {
    clearInterval(hold);
  }
}
