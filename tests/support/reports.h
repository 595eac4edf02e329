// Collects the failures that nobody consumed, for white-box tests: while one lives, it is the hook.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "stress.h"
#include "task/unobserved.h"

class Reports {
public:
    Reports()
    {
        execq::core::UnobservedHook* hook = execq::core::make_unobserved_hook(note, this, nullptr);
        CHECK(hook != nullptr);
        execq::core::hook_unobserved(hook);
    }
    ~Reports() { execq::core::print_unobserved(); }
    Reports(const Reports&) = delete;
    Reports& operator=(const Reports&) = delete;

    // "name/code/message" of each since the last call, in alphabetical order, joined by commas.
    std::string taken()
    {
        const std::lock_guard lock(mutex_);
        std::sort(texts_.begin(), texts_.end());
        std::string all;
        for (const std::string& text : texts_)
            all += (all.empty() ? "" : ", ") + text;
        texts_.clear();
        return all;
    }

private:
    static void note(const execq_error* error, const char* name, void* env)
    {
        auto* self = static_cast<Reports*>(env);
        const std::lock_guard lock(self->mutex_);
        self->texts_.push_back(std::string(name) + "/" + std::to_string(execq_error_code(error)) + "/" +
                               execq_error_message(error));
    }

    std::mutex mutex_;
    std::vector<std::string> texts_;
};
