// SPDX-License-Identifier: MIT
/* weft.h - everything weft offers to programs. Each noun has a header of its own beside it; what tests
 * of programs use is in weft/testing.h. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/base.h>
#include <weft/barrier.h>
#include <weft/blocking.h>
#include <weft/cond.h>
#include <weft/connect.h>
#include <weft/dump.h>
#include <weft/event.h>
#include <weft/file.h>
#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/listen.h>
#include <weft/local.h>
#include <weft/mutex.h>
#include <weft/once.h>
#include <weft/process.h>
#include <weft/queue.h>
#include <weft/resolve.h>
#include <weft/runtime.h>
#include <weft/rwlock.h>
#include <weft/select.h>
#include <weft/sem.h>
#include <weft/shield.h>
#include <weft/signal.h>
#include <weft/stats.h>
#include <weft/stream.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>
#include <weft/watch.h>

#endif
