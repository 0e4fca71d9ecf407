#pragma once
// From errno to base::Error.

#include "base/error.h"

namespace weir::os {

// Code and retry by the meaning of `error_number`, as os/files.h lists them; Origin::storage.
base::Error storage_error(int error_number, base::StaticText what);

}  // namespace weir::os
