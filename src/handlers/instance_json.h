/*
 * handlers/instance_json.h - an instance as EC2's answers show it
 *
 * Source: EC2 API Reference "Instance", "InstanceStatus", "StateReason".
 */
#pragma once

#include "handlers/request.h"
#include "model/default_network.h"
#include "model/instance.h"

/* An Instance of Reservations. tags: see ec2_tags_of. New reference. */
json_t *instance_json(const Request *rq, const Instance *i, const DefaultNetwork *net,
                      GHashTable *tags);
/* {Code, Name}. */
json_t *instance_state_json(InstanceState state);
/* {OwnerId, ReservationId, Groups: [], Instances: []}. */
json_t *reservation_json(const Instance *i);
/* {InstanceId, CurrentState, PreviousState}. */
json_t *state_change_json(const char *id, InstanceState before, InstanceState now);
/* NULL when there is none to give. */
json_t *instance_reason_json(const Instance *i);
/* [{GroupId, GroupName}] of the default group. */
json_t *instance_groups_json(const DefaultNetwork *net);
/* Options that DescribeInstances shows for the details of a row. New reference. */
json_t *metadata_options_json(const json_t *details);
