#pragma once
// The part of libcurl that is used, loaded when it is first needed: it brings some thirty libraries
// with it, and a start of the program that waits for them takes 9 ms longer (measured 2026-11, on
// two cores), whether or not there is a webhook.

#include <optional>
#include <string>

#include <curl/curl.h>

namespace weir::webhook::internal {

// 7.87, the first one with every option that is set.
inline constexpr unsigned kVersionMin = 0x075700;

// Functions of the library, by their names without `curl_`.
struct Curl {
  decltype(&curl_global_init) global_init;
  decltype(&curl_version_info) version_info;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_reset) easy_reset;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_multi_init) multi_init;
  decltype(&curl_multi_add_handle) multi_add_handle;
  decltype(&curl_multi_remove_handle) multi_remove_handle;
  decltype(&curl_multi_perform) multi_perform;
  decltype(&curl_multi_poll) multi_poll;
  decltype(&curl_multi_info_read) multi_info_read;
  decltype(&curl_multi_cleanup) multi_cleanup;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
};

// Loads and initialises the library, which then stays. Nothing: it is not there, lacks something or
// is older than kVersionMin, and `problem` says so. Blocks for reading it.
std::optional<Curl> load_curl(std::string& problem);

}  // namespace weir::webhook::internal
