#include "webhook/internal/curl.h"

#include <dlfcn.h>

namespace weir::webhook::internal {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

// True: `function` is what the library has under that name.
template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

// Of the calling thread, like every failure of dlopen() and dlsym().
std::string last_problem() {
  const char* const said = ::dlerror();  // NOLINT(concurrency-mt-unsafe): glibc's is per thread.
  return said == nullptr ? std::string{kLibrary} + " lacks a function" : std::string{said};
}

}  // namespace

std::optional<Curl> load_curl(std::string& problem) {
  void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  Curl curl{};
  const bool found = library != nullptr && find(library, "curl_global_init", curl.global_init) &&
                     find(library, "curl_version_info", curl.version_info) &&
                     find(library, "curl_easy_init", curl.easy_init) &&
                     find(library, "curl_easy_reset", curl.easy_reset) &&
                     find(library, "curl_easy_setopt", curl.easy_setopt) &&
                     find(library, "curl_easy_getinfo", curl.easy_getinfo) &&
                     find(library, "curl_easy_strerror", curl.easy_strerror) &&
                     find(library, "curl_easy_cleanup", curl.easy_cleanup) &&
                     find(library, "curl_multi_init", curl.multi_init) &&
                     find(library, "curl_multi_add_handle", curl.multi_add_handle) &&
                     find(library, "curl_multi_remove_handle", curl.multi_remove_handle) &&
                     find(library, "curl_multi_perform", curl.multi_perform) &&
                     find(library, "curl_multi_poll", curl.multi_poll) &&
                     find(library, "curl_multi_info_read", curl.multi_info_read) &&
                     find(library, "curl_multi_cleanup", curl.multi_cleanup) &&
                     find(library, "curl_slist_append", curl.slist_append) &&
                     find(library, "curl_slist_free_all", curl.slist_free_all);
  if (!found) {
    problem = last_problem();
    return std::nullopt;
  }
  const curl_version_info_data& version = *curl.version_info(CURLVERSION_NOW);
  if (version.version_num < kVersionMin) {
    problem = std::string{kLibrary} + " is of version " + version.version + ", and 7.87 is needed";
    return std::nullopt;
  }
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    problem = std::string{kLibrary} + " cannot be initialised";
    return std::nullopt;
  }
  return curl;
}

}  // namespace weir::webhook::internal
