"""The system calls of a sandboxed program, by name: numbers on x86-64 and on 64-bit ARM.

Everything that is not listed fails with "operation not permitted", so that a call that a future
kernel brings is refused until somebody adds it. Left out on purpose: everything that starts a
program or a process, opens a network socket, changes a file's owner, mode or times, mounts, traces,
looks into another process, or keeps something behind the program's back (shared memory, keys).
Calls that make, move or remove files are allowed, because the walls of the file system leave them
one private folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ARCHITECTURES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
)
"""Machine name -> (AUDIT_ARCH constant of seccomp, column of the table below)."""

_TABLE = """
read 0 63
write 1 64
readv 19 65
writev 20 66
pread64 17 67
pwrite64 18 68
open 2 -
openat 257 56
close 3 57
close_range 436 436
stat 4 -
fstat 5 80
lstat 6 -
newfstatat 262 79
statx 332 291
access 21 -
faccessat 269 48
faccessat2 439 439
readlink 89 -
readlinkat 267 78
getdents64 217 61
getcwd 79 17
chdir 80 49
fchdir 81 50
lseek 8 62
dup 32 23
dup2 33 -
dup3 292 24
pipe 22 -
pipe2 293 59
poll 7 -
ppoll 271 73
select 23 -
pselect6 270 72
epoll_create1 291 20
epoll_ctl 233 21
epoll_wait 232 -
epoll_pwait 281 22
eventfd2 290 19
recvfrom 45 207
getsockopt 55 209
setsockopt 54 208
getsockname 51 204
getpeername 52 205
shutdown 48 210
mmap 9 222
mprotect 10 226
munmap 11 215
mremap 25 216
madvise 28 233
brk 12 214
mincore 27 232
msync 26 227
futex 202 98
set_robust_list 273 99
get_robust_list 274 100
rseq 334 293
set_tid_address 218 96
sched_yield 24 124
sched_getaffinity 204 123
membarrier 324 283
exit 60 93
exit_group 231 94
wait4 61 260
waitid 247 95
rt_sigaction 13 134
rt_sigprocmask 14 135
rt_sigreturn 15 139
rt_sigpending 127 136
rt_sigtimedwait 128 137
rt_sigsuspend 130 133
sigaltstack 131 132
restart_syscall 219 128
pause 34 -
alarm 37 -
setitimer 38 103
getitimer 36 102
nanosleep 35 101
clock_nanosleep 230 115
clock_gettime 228 113
clock_getres 229 114
gettimeofday 96 169
time 201 -
times 100 153
getpid 39 172
gettid 186 178
getppid 110 173
getuid 102 174
geteuid 107 175
getgid 104 176
getegid 108 177
getgroups 115 158
getresuid 118 148
getresgid 120 150
getpgid 121 155
getpgrp 111 -
getsid 124 156
getpriority 140 141
getrusage 98 165
getrlimit 97 163
sysinfo 99 179
uname 63 160
umask 95 166
getrandom 318 278
getcpu 309 168
arch_prctl 158 -
unlink 87 -
unlinkat 263 35
mkdir 83 -
mkdirat 258 34
rmdir 84 -
rename 82 -
renameat 264 38
renameat2 316 276
ftruncate 77 46
fsync 74 82
fdatasync 75 83
fadvise64 221 223
statfs 137 43
fstatfs 138 44
"""
_ARGUMENTS = """
kill 62 129
tgkill 234 131
clone 56 220
prlimit64 302 261
ioctl 16 29
clone3 435 435
fcntl 72 25
socketpair 53 199
sendto 44 206
setrlimit 160 164
"""

RECVMSG = (47, 212)
"""The call by which file descriptors are received."""


def _column(table: str, column: int) -> dict[str, int]:
    rows = (line.split() for line in table.split("\n") if line)
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}


def allowed(column: int) -> dict[str, int]:
    """Calls allowed with any arguments: name -> number.

    >>> allowed(0)["read"], allowed(1)["read"], "socket" in allowed(0)
    (0, 63, False)
    """
    return _column(_TABLE, column)


def conditional(column: int) -> dict[str, int]:
    """Calls whose arguments decide: name -> number.

    >>> len(conditional(0)), conditional(0)["fcntl"]
    (10, 72)
    """
    return _column(_ARGUMENTS, column)
