-- Reads the declarations-only header with ffi.cdef, then looks up what stdin lists: "function" or "CONSTANT value", one
-- a line.
--
--     luajit header_test.lua execq_ffi.h libexecq.so
local ffi = require("ffi")

local file = assert(io.open(arg[1]))
ffi.cdef(file:read("*a"))
file:close()
local lib = ffi.load(arg[2])

local functions, constants = 0, 0
for line in io.lines() do
    local name, value = line:match("^(%S+) ?(%S*)$")
    local found = lib[name] -- an error for a name that is not declared, and for a function that is not exported
    if value == "" then
        assert(type(found) == "cdata", name .. " is not a function")
        functions = functions + 1
    else
        assert(found == tonumber(value), name .. " is " .. tostring(found) .. ", not " .. value)
        constants = constants + 1
    end
end
assert(functions > 0 and constants > 0, "nothing was asked for")
assert(not pcall(function() return lib.execq_no_such_function end), "an unknown name was found")
print(jit.version .. " read it: " .. functions .. " functions, " .. constants .. " constants")
