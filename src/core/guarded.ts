/** Listeners of what comes from outside. One that throws would be a fault that nobody caught (docs/decisions/0019). */

/** The listener; what it throws is given to `fail`, which ends what it listened to, and reaches nobody else. */
export function guarded<Args extends unknown[]>(
  listener: (...args: Args) => void,
  fail: (error: unknown, ...args: Args) => void,
): (...args: Args) => void {
  return (...args) => {
    try {
      listener(...args)
    } catch (error) {
      fail(error, ...args)
    }
  }
}
