/* handlers/roles.h - a role as IAM shows it, for roles and for the profiles that hold them */
#pragma once

#include "handlers/request.h"
#include "store/roles.h"

json_t *role_json(const Request *rq, const Role *role);
