"""Runs a command on a terminal of ROWS and COLUMNS, and prints what stands on it at the end, scrollback and all."""
import fcntl, os, pty, re, struct, sys, termios

rows, columns, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.read(0, 1)  # the size is set before the command looks
    os.execvp(command[0], command)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
settings = termios.tcgetattr(fd)
settings[3] &= ~termios.ECHO
termios.tcsetattr(fd, termios.TCSANOW, settings)
os.write(fd, b"\n")
output = b""
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    output += piece
_, status = os.waitpid(pid, 0)

lines, row, column = [""], 0, 0
for up, down, end, other in re.findall(r"\x1b\[(\d*)A|\x1b\[\d*(J)|(\r)|((?:\x1b\[[0-9;?]*[a-zA-Z])|.|\n)", output.decode("utf8", "replace"), re.S):
    if other == "\n":
        row += 1
        if row == len(lines):
            lines.append("")
    elif end:
        column = 0
    elif down:
        lines[row] = lines[row][:column]
        del lines[row + 1 :]
    elif not other:
        # What has left the screen is out of reach.
        row = max(0, len(lines) - rows, row - int(up or 1))
    elif not other.startswith("\x1b"):
        if column == columns:
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        lines[row] = lines[row].ljust(column)[:column] + other + lines[row][column + 1 :]
        column += 1
print("\n".join(lines))
sys.exit(os.waitstatus_to_exitcode(status))
