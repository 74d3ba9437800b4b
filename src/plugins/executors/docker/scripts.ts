/** The small scripts by which a container runs a job's. */

/**
 * Runs the file that is its argument by the best shell of the image. It stays the first process meanwhile, so that the
 * script is an ordinary one: signals end it, and what it leaves behind has a parent. Everything is written to one stream,
 * so that its order is the order in which it was written. A file beside the script tells that the kernel had to kill for want
 * of memory, which engines say of the first process only. Source of the places: GitLab Runner, `shells/bash.go`.
 */
export const entryScript = `exec 2>&1
ended() {
  [ "$2" = 137 ] && cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null |
    while read -r name count; do [ "$name" = oom_kill ] && [ "$count" != 0 ] && : > "$1.oom"; done
  exit "$2"
}
for shell in /usr/local/bin/bash /usr/bin/bash /bin/bash; do
  if [ -x "$shell" ]; then "$shell" -o pipefail "$1"; ended "$1" "$?"; fi
done
for shell in /usr/local/bin/sh /usr/bin/sh /bin/sh /busybox/sh; do
  if [ -x "$shell" ]; then "$shell" "$1"; ended "$1" "$?"; fi
done
echo "no shell found in this image"; exit 1`

/** Asks every process of the container but the first to end. */
export const politeScript = 'kill -TERM -1'

/** Gives folders back to whom their topmost one belongs, whoever that is in the container. */
export const giveBackScript = 'for folder; do chown -R "$(stat -c %u:%g "$folder")" "$folder" || exit; done'

/** A text as one word of a shell script. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * The script of one stage: where it starts, what has changed in the environment since the container was made, and the lines.
 * Names that no shell knows stay as they were.
 */
export function stageScript(script: string, cwd: string, changed: Readonly<Record<string, string>>): string {
  const exports = Object.entries(changed)
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    .map(([name, value]) => `export ${name}=${quote(value)}`)
  return [...exports, `cd ${quote(cwd)} || exit 1`, script].join('\n')
}
