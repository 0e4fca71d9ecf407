#include "os/error.h"

#include <cerrno>

namespace weir::os {

base::Error storage_error(int error_number, base::StaticText what) {
  using base::ErrorCode;
  using base::Retry;
  ErrorCode code = ErrorCode::unavailable;
  Retry retry = Retry::with_backoff;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      code = ErrorCode::not_found;
      retry = Retry::never;
      break;
    case EEXIST:
      code = ErrorCode::conflict;
      retry = Retry::never;
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      code = ErrorCode::limit_exceeded;
      break;
    default:
      break;
  }
  return {code, base::Origin::storage, retry, error_number, what};
}

}  // namespace weir::os
