/*
 * agent/orphans.h - ends containers that this agent made and has no record of: its data was lost
 *
 * Known by their label AGENT_LABEL_OWNER, so that nobody else's are touched: the stock agent's,
 * those of a second agent with other data, of another machine that a disk was copied from, of
 * versions that set no such label. Nor are those whose record is there and cannot be read, or was
 * set aside: an older version of the agent may have done that, and who repairs it finds them
 * running.
 * A task of theirs is taken on as one that is to be removed: so its containers are stopped in
 * order and with their stop timeouts, tried again when that fails, its end is reported, and a
 * payload for it finds it. It has no file: an agent that dies meanwhile finds what is left once
 * more.
 */
#pragma once

#include "agent/engine.h"

/* Looks for them and calls done when they are the engine's tasks: at once after Docker came up, and
 * before the agent registers, so that none is there yet for a payload that asks for it again.
 * While Docker cannot say, it is asked again, for ever. */
void agent_orphans_find(AgentEngine *engine, LoopCall done, gpointer user);
