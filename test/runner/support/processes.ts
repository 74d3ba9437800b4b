import fs from 'node:fs'

/** Whether a process runs; one that only waits for its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !['Z', 'X'].includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3))
  } catch {
    return false
  }
}

/** Lines of a script that wait until the test makes the file. */
export function waitFor(file: string): string {
  return `while [ ! -e '${file}' ]; do sleep 0.02; done`
}

/** Goes on for ever, and says so: over REST a runner hears of a cancel when it has something to send. */
export const talk = 'while :; do echo on and on; sleep 0.1; done'

/**
 * A script that will not go by itself: it ignores the polite signal, has a child that does so too in a session of its
 * own, and a grandchild that nobody is the parent of any more. It writes their process ids into the folder.
 */
export function stubborn(folder: string): string[] {
  const stay = "trap '' TERM; while :; do sleep 0.1; done"
  return [
    "trap '' TERM",
    `setsid bash -c 'echo $$ > "${folder}/session.pid"; ${stay.replaceAll("'", "'\\''")}' &`,
    `(setsid bash -c 'echo $$ > "${folder}/orphan.pid"; ${stay.replaceAll("'", "'\\''")}' > /dev/null 2>&1 &) &`,
    `echo $$ > "${folder}/main.pid"`,
    `while [ ! -s "${folder}/session.pid" ] || [ ! -s "${folder}/orphan.pid" ]; do sleep 0.02; done`,
    'echo is ready',
    talk,
  ]
}

/** The process ids that `stubborn` has left. */
export function stubbornPids(folder: string): number[] {
  return ['main', 'session', 'orphan'].map((name) => Number(fs.readFileSync(`${folder}/${name}.pid`, 'utf8')))
}
