#pragma once
// Commands that look after events on their way: what waits in the journal, and dead letters. Each
// returns its exit code and prints to standard output, problems to standard error.

#include <string>

#include "cli/command_line.h"
#include "pipeline/consumer.h"

namespace weir::app {

int run_queues_list(const cli::CommandLine& line);
int run_dead_letters(const cli::CommandLine& line);
int run_letters(const cli::CommandLine& line);  // queues replay and queues purge.

// For the control socket: understands what run_letters() asks of the server, {"action":"replay" or
// "purge", "ids":[…]}, no ids for all. False: it is not understood.
bool parse_letters_request(const std::string& text, pipeline::LettersRequest& request);

}  // namespace weir::app
