/*
 * server/http_deadline.h - peers that take too long to say what they want
 *
 * libmicrohttpd ends connections that are silent, but not those that say one byte now and then:
 * here each has a time by which its request must be whole. Thread-safe.
 */
#pragma once

#include <glib.h>

typedef struct HttpDeadlines HttpDeadlines;
typedef struct HttpPeer HttpPeer;

HttpDeadlines *http_deadlines_new(void);
/* After the last peer has left. */
void http_deadlines_free(HttpDeadlines *deadlines);

/* A connection has begun; it is shut down when the time set for it is over. Until http_peer_free.
 */
HttpPeer *http_peer_new(HttpDeadlines *deadlines, int fd);
/* Before the socket is closed. */
void http_peer_free(HttpPeer *peer);
/* What is awaited must have come within_ms from now; 0: nothing is awaited. */
void http_peer_expect(HttpPeer *peer, gint64 within_ms);
