#include "reconcile/kinds.h"

const StepKind step_kinds[] = {
    { NULL, NULL, NULL, FALSE },
};
